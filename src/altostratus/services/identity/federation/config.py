# SPDX-License-Identifier: Apache-2.0
"""The `[federation]` section. Only the operator's file says where identity providers are, never an API user."""

from typing import Annotated

from altostratus.kernel.config import Meta, Section


class FederationOptions(Section, frozen=True, kw_only=True, name="federation"):
    """What concerns users that other identity providers vouch for."""

    trusted_dashboard: Annotated[
        list[str], Meta(description="addresses that a token may be handed to after single sign-on in a browser")
    ] = []
    default_authorization_ttl: Annotated[
        int, Meta(description="minutes that groups from a mapping last beyond the login; 0: only its tokens", ge=0)
    ] = 0
    attribute_mapping_default_schema_version: Annotated[
        str, Meta(description="schema version of mappings that name none", pattern=r"^[12]\.0$")
    ] = "1.0"
    remote_id_attribute: Annotated[
        str, Meta(description="attribute in which an identity provider names itself, for protocols without their own")
    ] = ""
