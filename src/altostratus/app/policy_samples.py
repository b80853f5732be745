# SPDX-License-Identifier: Apache-2.0
"""What `oslopolicy-sample-generator --namespace nova` prints: our rules under upstream's namespaces."""

from oslo_policy.policy import RuleDefault

from altostratus.app.service_list import ALL_SERVICES
from altostratus.kernel.policy import BASE_RULES


def _rules(namespace: str) -> list[RuleDefault]:
    service = next(service for service in ALL_SERVICES if service.policy_namespace == namespace)
    own = service.declared_rules()
    names = {rule.name for rule in own}
    return [base for base in BASE_RULES if base.name not in names] + [rule.documented() for rule in own]


def keystone() -> list[RuleDefault]:
    return _rules("keystone")


def placement() -> list[RuleDefault]:
    return _rules("placement")


def glance() -> list[RuleDefault]:
    return _rules("glance")


def neutron() -> list[RuleDefault]:
    return _rules("neutron")


def cinder() -> list[RuleDefault]:
    return _rules("cinder")


def nova() -> list[RuleDefault]:
    return _rules("nova")


def swift() -> list[RuleDefault]:
    return _rules("swift")
