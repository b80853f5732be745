# SPDX-License-Identifier: Apache-2.0
"""The filters: each says in a sentence why a host cannot take a server, or None.

They are pure. Names are upstream's; which ones run, and in which order, is an option.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from altostratus.services.compute.logic.scheduling.request import HostState, Request

FilterFunction = Callable[[HostState, Request], str | None]


class Filter(NamedTuple):
    name: str
    function: FilterFunction


def compute_up(state: HostState, _request: Request) -> str | None:
    if state.host.disabled:
        reason = f": {state.host.disabled_reason}" if state.host.disabled_reason else ""
        return f"its compute service is disabled{reason}"
    if state.host.forced_down:
        return "its compute service was forced down"
    if not state.host.up:
        return f"its agent was last heard at {state.host.last_seen}"
    return None


def requested_host(state: HostState, request: Request) -> str | None:
    if request.host is not None and request.host != state.name:
        return f"host {request.host} was asked for"
    return None


def availability_zone(state: HostState, request: Request) -> str | None:
    if request.zone is not None and request.zone != state.host.zone:
        return f"it is in zone {state.host.zone}, and zone {request.zone} was asked for"
    return None


def image_properties(state: HostState, request: Request) -> str | None:
    wanted = request.image_properties.get("hw_architecture") or request.image_properties.get("architecture")
    has = state.host.facts.get("architecture")
    if wanted and has and _plain_architecture(str(wanted)) != _plain_architecture(str(has)):
        return f"its architecture is {has}, and the image is made for {wanted}"
    kind = request.image_properties.get("img_hv_type") or request.image_properties.get("hypervisor_type")
    driver = str(state.host.facts.get("type", "")).lower()
    if kind and driver and str(kind).lower() not in (driver, "qemu", "kvm"):
        return f"its hypervisor is {driver}, and the image asks for {kind}"
    return None


def _plain_architecture(name: str) -> str:
    return {"amd64": "x86_64", "x86-64": "x86_64", "arm64": "aarch64"}.get(name.lower(), name.lower())


def anti_affinity(state: HostState, request: Request) -> str | None:
    if request.group_policy != "anti-affinity":
        return None
    most = int(request.group_rules.get("max_server_per_host", 1))
    members = request.group_hosts.count(state.name)
    if members >= most:
        return f"{members} member{'s' if members > 1 else ''} of the anti-affinity group already there"
    return None


def affinity(state: HostState, request: Request) -> str | None:
    if request.group_policy != "affinity" or not request.group_hosts:
        return None
    if state.name not in request.group_hosts:
        return f"the affinity group is on {', '.join(sorted(set(request.group_hosts)))}"
    return None


def same_host(state: HostState, request: Request) -> str | None:
    wanted = request.hinted_servers("same_host")
    if wanted and not wanted & state.servers:
        return "none of the servers of the hint same_host is there"
    return None


def different_host(state: HostState, request: Request) -> str | None:
    if request.hinted_servers("different_host") & state.servers:
        return "a server of the hint different_host is there"
    return None


_SCOPE: Final = "aggregate_instance_extra_specs"


def aggregate_extra_specs(state: HostState, request: Request) -> str | None:
    """Extra specs with this scope, or with none, must match the metadata of the host's aggregates."""
    specs = request.flavor.get("extra_specs") or {}
    for name, wanted in specs.items():
        scope, colon, key = name.partition(":")
        if colon and scope != _SCOPE:
            continue
        key = key if colon else name
        values = [str(one.properties[key]) for one in state.host.aggregates if key in one.properties]
        if not any(_matches(value, str(wanted)) for have in values for value in have.split(",")):
            return f"no aggregate of it has {key}={wanted}, which the flavor asks for"
    return None


_NUMERIC = re.compile(r"^(=|==|!=|>=|<=|>|<)\s+(-?\d+(?:\.\d+)?)$")
_WORDED = re.compile(r"^(s==|s!=|s>=|s<=|s>|s<|<in>)\s+(.+)$")


def _matches(value: str, wanted: str) -> bool:
    """Does `value` satisfy `wanted`: a plain text, `<or> a <or> b`, `>= 5`, `s== a` or `<in> a`?"""
    value, wanted = value.strip(), wanted.strip()
    if wanted.startswith("<or>"):
        return value in [part.strip() for part in wanted.split("<or>") if part.strip()]
    number = _NUMERIC.match(wanted)
    if number:
        try:
            have, limit = float(value), float(number[2])
        except ValueError:
            return False
        # upstream's "=" means "at least"
        return {
            "=": have >= limit,
            "==": have == limit,
            "!=": have != limit,
            ">=": have >= limit,
            "<=": have <= limit,
            ">": have > limit,
            "<": have < limit,
        }[number[1]]
    word = _WORDED.match(wanted)
    if word:
        text = word[2]
        return {
            "s==": value == text,
            "s!=": value != text,
            "s>=": value >= text,
            "s<=": value <= text,
            "s>": value > text,
            "s<": value < text,
            "<in>": text in value,
        }[word[1]]
    return value == wanted


def aggregate_core(state: HostState, request: Request) -> str | None:
    """An aggregate's `cpu_allocation_ratio` outranks the host's; of several the smallest counts."""
    ratios = [_number(one.properties.get("cpu_allocation_ratio")) for one in state.host.aggregates]
    known = [ratio for ratio in ratios if ratio is not None]
    capacity = state.capacity.get("VCPU")
    if not known or capacity is None:
        return None
    ratio = min(known)
    most = capacity.total * ratio
    wanted = int(request.flavor.get("vcpus", 0))
    if capacity.used + wanted > most:
        return (
            f"{capacity.used} of its {most:g} vCPUs ({capacity.total} x cpu_allocation_ratio {ratio:g}) are in use, "
            f"and {wanted} are wanted"
        )
    return None


def _number(text: object) -> float | None:
    try:
        return float(str(text))
    except ValueError:
        return None


def aggregate_tenants(state: HostState, request: Request) -> str | None:
    """Hosts of an aggregate with `filter_tenant_id` are for those projects alone."""
    allowed: set[str] = set()
    for aggregate in state.host.aggregates:
        for name, value in aggregate.properties.items():
            if name.startswith("filter_tenant_id"):
                allowed |= {part.strip() for part in str(value).split(",")}
    if allowed and request.project_id not in allowed:
        return "an aggregate keeps it for other projects (filter_tenant_id)"
    return None


FILTERS: Final = (
    Filter("ComputeFilter", compute_up),
    Filter("RequestedHostFilter", requested_host),
    Filter("AvailabilityZoneFilter", availability_zone),
    Filter("ImagePropertiesFilter", image_properties),
    Filter("ServerGroupAntiAffinityFilter", anti_affinity),
    Filter("ServerGroupAffinityFilter", affinity),
    Filter("SameHostFilter", same_host),
    Filter("DifferentHostFilter", different_host),
    Filter("AggregateInstanceExtraSpecsFilter", aggregate_extra_specs),
    Filter("AggregateCoreFilter", aggregate_core),
    Filter("AggregateMultiTenancyIsolation", aggregate_tenants),
)
