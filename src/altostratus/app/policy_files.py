# SPDX-License-Identifier: Apache-2.0
"""The `[oslo_policy]` section, and which policy files a service reads."""

from pathlib import Path
from typing import Annotated

from altostratus.app import classic_roles
from altostratus.kernel.config import Meta, Section
from altostratus.kernel.resource.service import Service

_KINDS = (".json", ".yaml")
# sets of rules that `alto policy apply` puts into folders of their names below the policy directory
SETS = {classic_roles.NAME: classic_roles}


class PolicyOptions(Section, frozen=True, kw_only=True, name="oslo_policy"):
    """Operators' policy files. They are read again when they change; no restart is needed."""

    policy_file: Annotated[
        str,
        Meta(
            description="name of policy files, like policy.json: looked for in the policy directory (for all services)"
            " and in each service's own folder of config_root; empty: policy.json and policy.yaml"
        ),
    ] = ""
    config_root: Annotated[
        str, Meta(description="where services have folders of upstream's names, like /etc/cinder; empty: nowhere")
    ] = "/etc"


class PolicyPlaces:
    """Where policy files are looked for. `directory` is `policy` of the state directory."""

    def __init__(self, directory: Path, options: PolicyOptions) -> None:
        self.directory, self._options = directory, options

    def of(self, service: Service) -> tuple[Path, ...]:
        """Files of a service, the weakest first: applied sets, the file of all services, upstream's place, its own."""
        names = dict.fromkeys((service.type, service.policy_namespace))
        own = [self.directory / f"{name}{kind}" for name in names for kind in _KINDS]
        return (*self.set_files(service), *self._shared(), *self._of_upstream(service), *own)

    def set_files(self, service: Service) -> list[Path]:
        """Where the rules of each set are for the service, once it is applied."""
        return [self.directory / name / f"{service.type}.yaml" for name in SETS]

    def _file_names(self) -> tuple[str, ...]:
        chosen = self._options.policy_file
        return (chosen,) if chosen else tuple(f"policy{kind}" for kind in _KINDS)

    def _shared(self) -> list[Path]:
        return [self.directory / name for name in self._file_names()]

    def _of_upstream(self, service: Service) -> list[Path]:
        if not self._options.config_root:
            return []
        return [Path(self._options.config_root) / service.policy_namespace / name for name in self._file_names()]
