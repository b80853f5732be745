# SPDX-License-Identifier: Apache-2.0
"""The `[object_store]` section."""

from typing import Annotated

from altostratus.kernel.config import Meta, Section


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
