# SPDX-License-Identifier: Apache-2.0
"""Filters and weighers, as the pure functions that they are."""

import pytest

from altostratus.services.compute.config import DEFAULT_FILTERS, ComputeOptions
from altostratus.services.compute.logic.hosts import AggregateInfo, ComputeHost
from altostratus.services.compute.logic.scheduling import choose, filters
from altostratus.services.compute.logic.scheduling.request import HostState, Request
from altostratus.services.placement.public import Capacity

FLAVOR = {"vcpus": 1, "ram": 512, "disk": 1, "extra_specs": {}}


def host(name="a", *, properties=None, servers=(), free_mib=1000, used_vcpus=0, **facts):
    aggregates = (AggregateInfo(1, "one", properties),) if properties is not None else ()
    made = ComputeHost(
        name,
        {"architecture": "x86_64", "type": "qemu"},
        "2026-01-01T00:00:00.000000",
        "2026-01-01T00:00:00.000000",
        facts.pop("up", True),
        aggregates=aggregates,
        zone="nova",
        **facts,
    )
    capacity = {"MEMORY_MB": Capacity(free_mib, 0, 1.0, 0), "VCPU": Capacity(2, used_vcpus, 16.0, 0)}
    return HostState(made, capacity, frozenset(servers))


def request(**members):
    flavor = FLAVOR | {"extra_specs": members.pop("specs", {})}
    return Request(project_id="p", flavor=flavor, **members)


def test_every_default_filter_exists():
    assert {one.name for one in filters.FILTERS} == set(DEFAULT_FILTERS)


@pytest.mark.parametrize(
    ("function", "state", "asked", "words"),
    [
        (filters.compute_up, host(), request(), None),
        (filters.compute_up, host(up=False), request(), "last heard"),
        (filters.compute_up, host(disabled=True, disabled_reason="repair"), request(), "repair"),
        (filters.compute_up, host(up=False, forced_down=True), request(), "forced down"),
        (filters.requested_host, host(), request(host="a"), None),
        (filters.requested_host, host(), request(host="b"), "b was asked for"),
        (filters.availability_zone, host(), request(zone="nova"), None),
        (filters.availability_zone, host(), request(zone="vip"), "zone vip was asked for"),
        (filters.image_properties, host(), request(image_properties={"hw_architecture": "amd64"}), None),
        (filters.image_properties, host(), request(image_properties={"hw_architecture": "aarch64"}), "aarch64"),
        (filters.image_properties, host(), request(image_properties={"img_hv_type": "vmware"}), "vmware"),
        (filters.affinity, host(), request(group_policy="affinity"), None),
        (filters.affinity, host(), request(group_policy="affinity", group_hosts=("b",)), "is on b"),
        (filters.anti_affinity, host(), request(group_policy="anti-affinity", group_hosts=("b",)), None),
        (filters.anti_affinity, host(), request(group_policy="anti-affinity", group_hosts=("a",)), "already there"),
        (
            filters.anti_affinity,
            host(),
            request(group_policy="anti-affinity", group_hosts=("a",), group_rules={"max_server_per_host": 2}),
            None,
        ),
        (filters.same_host, host(servers=["s"]), request(hints={"same_host": "s"}), None),
        (filters.same_host, host(), request(hints={"same_host": ["s"]}), "same_host"),
        (filters.different_host, host(servers=["s"]), request(hints={"different_host": ["s"]}), "different_host"),
        (filters.different_host, host(), request(hints={"different_host": "s"}), None),
        (filters.aggregate_extra_specs, host(), request(), None),
        (filters.aggregate_extra_specs, host(), request(specs={"hw:cpu_policy": "shared"}), None),
        (filters.aggregate_extra_specs, host(), request(specs={"ForVip": "true"}), "ForVip=true"),
        (filters.aggregate_extra_specs, host(properties={"ForVip": "true"}), request(specs={"ForVip": "true"}), None),
        (filters.aggregate_extra_specs, host(properties={"ForVip": "no"}), request(specs={"ForVip": "true"}), "ForVip"),
        (
            filters.aggregate_extra_specs,
            host(properties={"cpu": "i7,i5"}),
            request(specs={"aggregate_instance_extra_specs:cpu": "i5"}),
            None,
        ),
        (filters.aggregate_core, host(properties={"cpu_allocation_ratio": "10"}, used_vcpus=19), request(), None),
        (
            filters.aggregate_core,
            host(properties={"cpu_allocation_ratio": "10"}, used_vcpus=20),
            request(),
            "cpu_allocation_ratio 10",
        ),
        (filters.aggregate_tenants, host(properties={"filter_tenant_id": "p,q"}), request(), None),
        (filters.aggregate_tenants, host(properties={"filter_tenant_id": "q"}), request(), "other projects"),
    ],
)
def test_filters(function, state, asked, words):
    reason = function(state, asked)
    assert reason is None if words is None else words in reason


@pytest.mark.parametrize(
    ("wanted", "value", "expected"),
    [
        ("<or> a <or> b", "b", True),
        ("<or> a <or> b", "c", False),
        (">= 5", "6", True),
        (">= 5", "4", False),
        ("= 5", "6", True),
        ("== 5", "5.0", True),
        ("!= 5", "5", False),
        ("s== a", "a", True),
        ("s!= a", "a", False),
        ("<in> b", "abc", True),
        ("> 5", "many", False),
        ("plain", "plain", True),
    ],
)
def test_operators(wanted, value, expected):
    reason = filters.aggregate_extra_specs(host(properties={"k": value}), request(specs={"k": wanted}))
    assert (reason is None) is expected


def order(states, **members):
    return [state.name for state in choose.by_weight(states, ComputeOptions(), request(**members))]


def test_weights():
    small, large = host("small", free_mib=100), host("large", free_mib=900)
    assert order([small, large]) == ["large", "small"]
    assert order([small, large], group_policy="soft-affinity", group_hosts=("small",)) == ["small", "large"]
    assert order([small, large], group_policy="soft-anti-affinity", group_hosts=("large",)) == ["small", "large"]
    assert order([host("b"), host("a")]) == ["a", "b"]  # equal ones by name, so that choices can be repeated
