# SPDX-License-Identifier: Apache-2.0
"""The `[object_store]` section."""

from typing import Annotated

from msgspec import Struct

from altostratus.kernel.config import Meta, Section

# (objects of the container, requests a second)
Rates = tuple[tuple[Annotated[int, Meta(ge=0)], Annotated[float, Meta(gt=0)]], ...]


class ObjectStoreOptions(Section, frozen=True, kw_only=True, name="object_store"):
    """Limits of names, metadata and listings; upstream's defaults."""

    max_object_bytes: Annotated[int, Meta(description="largest object of a single upload", ge=1)] = 5_368_709_122
    max_meta_name_length: Annotated[int, Meta(description="bytes of a metadata name", ge=1)] = 128
    max_meta_value_length: Annotated[int, Meta(description="bytes of a metadata value", ge=1)] = 256
    max_meta_count: Annotated[int, Meta(description="metadata items of a resource", ge=1)] = 90
    max_meta_overall_size: Annotated[int, Meta(description="bytes of all its metadata", ge=1)] = 4096
    max_object_name_length: Annotated[int, Meta(description="bytes of an object's name", ge=1, le=4096)] = 1024
    max_container_name_length: Annotated[int, Meta(description="bytes of a container's name", ge=1, le=1024)] = 256
    listing_limit: Annotated[int, Meta(description="items of a listing's page", ge=1, le=100_000)] = 10_000


class RateLimitOptions(Section, frozen=True, kw_only=True, name="object_ratelimit"):
    """How fast one account or container may be changed; no limit unless one is given. Names are upstream's."""

    account_ratelimit: Annotated[
        float, Meta(description="containers of an account made or deleted a second; 0: any", ge=0)
    ] = 0.0
    container_ratelimits: Annotated[
        Rates,
        Meta(description="changes of a container a second, by its objects: [[100, 50.0], [100000, 5.0]]"),
    ] = ()
    container_listing_ratelimits: Annotated[Rates, Meta(description="the same for its listings")] = ()
    max_sleep_time_seconds: Annotated[
        float, Meta(description="a request waits that long at most, in a thread; then it is refused", ge=0, le=10)
    ] = 1.0
    rate_buffer_seconds: Annotated[float, Meta(description="pause that a client may catch up on", ge=0, le=60)] = 5.0


class Realm(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Clouds that trust each other. `key2` is good for what comes in as well, while a key is changed."""

    key: str
    key2: str = ""
    clusters: dict[str, str]


class ContainerSyncOptions(Section, frozen=True, kw_only=True, name="container_sync"):
    """Where containers may be copied to; nowhere unless realms are given.

    [container_sync.realms.REALM]
    key = "shared by its clouds"
    clusters = { ONE = "https://one.example/object-store/v1/", TWO = "https://two.example/v1/" }
    """

    realms: Annotated[dict[str, Realm], Meta(description="clouds that trust each other, by name")] = {}
    current: Annotated[str, Meta(description="this cloud's own place, //REALM/CLUSTER, for /info")] = ""
