# SPDX-License-Identifier: Apache-2.0
"""What this store can do, and that it is alive."""

from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.object_store.api import bulk, cors, forms, manifests, peers, policies, symlinks
from altostratus.services.object_store.api.visits import finished
from altostratus.services.object_store.config import ContainerSyncOptions, ObjectStoreOptions, RateLimitOptions
from altostratus.services.object_store.logic.temp_urls import DIGESTS
from altostratus.services.object_store.logic.versions import HISTORY, STACK


def show_info(call: Call) -> Reply:
    """Only what works."""
    options = call.cloud[ObjectStoreOptions]
    swift = {
        "version": "2.36.0",
        "account_listing_limit": options.listing_limit,
        "container_listing_limit": options.listing_limit,
        "max_account_name_length": 256,
        "max_container_name_length": options.max_container_name_length,
        "max_object_name_length": options.max_object_name_length,
        "max_file_size": options.max_object_bytes,
        "max_meta_count": options.max_meta_count,
        "max_meta_name_length": options.max_meta_name_length,
        "max_meta_overall_size": options.max_meta_overall_size,
        "max_meta_value_length": options.max_meta_value_length,
        "max_header_size": 8192,
        "account_autocreate": True,
        "allow_account_management": False,
        "policies": [policies.shown(policy) for policy in policies.policies_of(call.cloud)],
        "strict_cors_mode": True,
    }
    capabilities = {
        "swift": swift,
        "account_quotas": {},
        "container_quotas": {},
        "bulk_delete": {"max_deletes_per_request": bulk.MOST_DELETES, "max_failed_deletes": 1000},
        "bulk_upload": {"max_containers_per_extraction": 10_000, "max_failed_extractions": 1000},
        "tempurl": {
            "methods": ["GET", "HEAD", "PUT", "POST", "DELETE"],
            "allowed_digests": list(DIGESTS),
            "incoming_remove_headers": [],
            "incoming_allow_headers": [],
            "outgoing_remove_headers": ["x-object-meta-*"],
            "outgoing_allow_headers": ["x-object-meta-public-*"],
        },
        "symlink": {"symloop_max": symlinks.MOST_HOPS, "static_links": True},
        "crossdomain": {},
        "staticweb": {},
        "formpost": {"allowed_digests": list(forms.DIGESTS)},
        "versioned_writes": {"allowed_flags": [STACK, HISTORY]},
        "object_versioning": {},
        "dlo": {"max_segments": 10_000},
        "slo": {
            "max_manifest_segments": manifests.MOST_SEGMENTS,
            "max_manifest_size": manifests.MOST_BYTES,
            "min_segment_size": 1,
            "allow_async_delete": False,
        },
    }
    rates = call.cloud[RateLimitOptions]
    capabilities["ratelimit"] = {
        "account_ratelimit": rates.account_ratelimit,
        "max_sleep_time_seconds": rates.max_sleep_time_seconds,
        "container_ratelimits": rates.container_ratelimits,
        "container_listing_ratelimits": rates.container_listing_ratelimits,
    }
    if call.cloud[ContainerSyncOptions].realms:
        capabilities["container_sync"] = peers.info(call.cloud)
    return finished(Reply(200, capabilities, content_type="application/json; charset=UTF-8"))


def show_health(_call: Call) -> Reply:
    return finished(Reply(200, b"OK", content_type="text/plain; charset=UTF-8"))


class Info(Resource, path="!/info"):
    """Capabilities."""

    show = Op("GET", "", None, "@", show_info, public=True, tx="none")


class Crossdomain(Resource, path="!/crossdomain.xml"):
    """Sites whose scripts may ask."""

    show = Op("GET", "", None, "@", cors.show_crossdomain, public=True, tx="none")


class Health(Resource, path="!/healthcheck"):
    """A sign of life."""

    show = Op("GET", "", None, "@", show_health, public=True, tx="none")
