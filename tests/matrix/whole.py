# SPDX-License-Identifier: Apache-2.0
"""The whole cloud with every service, for tests over all operations."""

import re
from pathlib import Path
from typing import Any

from altostratus.app.control import add_parts
from altostratus.app.files import prepare_directories
from altostratus.app.options import CloudOptions, Paths
from altostratus.app.service_list import ALL_SERVICES
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.resource.operations import Action, Op
from altostratus.kernel.resource.service import Service
from altostratus.testing.cloud import TestCloud
from altostratus.testing.personas import PersonaAuthenticator

NOWHERE = "00000000-0000-4000-8000-000000000000"


def make_cloud(directory: Path) -> TestCloud:
    def prepare(cloud: Cloud) -> None:
        paths = Paths(directory / "state")
        prepare_directories(paths, CloudOptions())
        add_parts(cloud, paths)
        cloud.authenticator = PersonaAuthenticator()

    return TestCloud(directory, services=ALL_SERVICES, prepare=prepare)


def path_of(service: Service, op: Op) -> str:
    """A path of the operation with names that exist nowhere."""
    whole = op.resource.path + op.path
    prefix = service.root if whole.startswith("!") else service.path
    return re.sub(r"\{[a-z_:]+\}", NOWHERE, prefix + whole.removeprefix("!")) or "/"


def headers_of(service: Service, op: Op, *, newest: bool = True) -> dict[str, str]:
    """The microversion header with the newest (or oldest) version at which the operation exists."""
    scheme = service.versions
    if scheme.minimum is None or scheme.maximum is None:
        return {}
    version = (
        min(op.until or scheme.maximum, scheme.maximum) if newest else max(op.since or scheme.minimum, scheme.minimum)
    )
    name = getattr(scheme, "service", service.type)
    return {"OpenStack-API-Version": f"{name} {version}"}


def body_of(op: Op) -> Any:
    if op.method in ("GET", "HEAD", "DELETE"):
        return None
    if isinstance(op, Action):
        return {op.action: None}
    return {op.resource.one: {}} if op.resource.one else {}


EVERY_OPERATION = [(service, op) for service in ALL_SERVICES for op in service.operations()]


def name_of(entry: tuple[Service, Op]) -> str:
    service, op = entry
    action = f" {op.action}" if isinstance(op, Action) else ""
    return f"{service.type} {op.method} {op.resource.path}{op.path}{action}"
