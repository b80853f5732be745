# SPDX-License-Identifier: Apache-2.0
"""The version schemes of OpenStack's APIs.

`Microversions` is asked for by a header (compute, block storage, placement ...). The others have one
version that is only advertised: identity, image and load balancer by a minor number, network by its
list of extensions, object store not at all; for them `NoVersions` serves.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from altostratus.kernel.errors import BadRequest, NotAcceptable


class Version(NamedTuple):
    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


def parse_version(text: str) -> Version:
    """`2.96` to a Version. Raises ValueError."""
    major, _, minor = text.strip().partition(".")
    if not (major.isdigit() and minor.isdigit() and len(major) < 4 and len(minor) < 6):
        raise ValueError(text)
    return Version(int(major), int(minor))


class VersionScheme(Protocol):
    minimum: Version | None
    maximum: Version | None

    def negotiate(self, headers: Mapping[str, str]) -> Version | None:
        """The version a request asks for. `headers` has upper-case names."""

    def reply_headers(self, version: Version | None) -> dict[str, str]: ...

    def request_headers(self) -> tuple[str, ...]:
        """Names of the headers that ask for a version."""


class NoVersions:
    """Nothing to negotiate."""

    minimum: Version | None = None
    maximum: Version | None = None

    def negotiate(self, headers: Mapping[str, str]) -> Version | None:
        return None

    def reply_headers(self, version: Version | None) -> dict[str, str]:
        return {}

    def request_headers(self) -> tuple[str, ...]:
        return ()


class Microversions:
    """`OpenStack-API-Version: <service> X.Y`, and the older header of the service if it has one."""

    def __init__(self, service: str, minimum: str, maximum: str, *, legacy_header: str | None = None) -> None:
        self.service = service
        self.minimum: Version | None = parse_version(minimum)
        self.maximum: Version | None = parse_version(maximum)
        self.legacy_header = legacy_header

    def negotiate(self, headers: Mapping[str, str]) -> Version | None:
        asked = self._asked(headers)
        if asked is None:
            return self.minimum
        if asked == "latest":
            return self.maximum
        try:
            version = parse_version(asked)
        except ValueError:
            raise BadRequest(
                f"API Version String {asked} is of invalid format. Must be of format MajorNum.MinorNum.",
                kind="InvalidAPIVersionString",
            ) from None
        if self.minimum is None or self.maximum is None or not self.minimum <= version <= self.maximum:
            raise NotAcceptable(
                f"Version {asked} is not supported by the API. Minimum is {self.minimum} "
                f"and maximum is {self.maximum}.",
                kind="InvalidGlobalAPIVersion",
                details={"max_version": str(self.maximum), "min_version": str(self.minimum)},
            )
        return version

    def _asked(self, headers: Mapping[str, str]) -> str | None:
        for part in headers.get("OPENSTACK-API-VERSION", "").split(","):
            name, _, value = part.strip().partition(" ")
            if name.lower() == self.service and value:
                return value.strip()
        return headers.get(self.legacy_header.upper()) if self.legacy_header else None

    def request_headers(self) -> tuple[str, ...]:
        return ("OpenStack-API-Version", *([self.legacy_header] if self.legacy_header else []))

    def reply_headers(self, version: Version | None) -> dict[str, str]:
        shown = version or self.minimum
        headers = {"OpenStack-API-Version": f"{self.service} {shown}", "Vary": "OpenStack-API-Version"}
        if self.legacy_header:
            headers[self.legacy_header] = str(shown)
            headers["Vary"] += ", " + self.legacy_header
        return headers
