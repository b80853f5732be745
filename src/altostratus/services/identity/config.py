# SPDX-License-Identifier: Apache-2.0
"""The `[identity]` section."""

from typing import Annotated

from altostratus.kernel.config import Meta, Section


class IdentityOptions(Section, frozen=True, kw_only=True, name="identity"):
    """What concerns users, tokens and the catalog."""

    token_lifetime_s: Annotated[int, Meta(description="how long a token is valid", ge=60, le=31_536_000)] = 3600
    expired_window_s: Annotated[
        int, Meta(description="how long after its end a token may still be looked at with allow_expired", ge=0)
    ] = 172_800
    token_cache_size: Annotated[int, Meta(description="tokens remembered by each process", ge=1, le=1_000_000)] = 2_000
    revision_check_s: Annotated[
        float, Meta(description="how often a process looks whether another one changed identity", ge=0)
    ] = 1.0
    project_depth: Annotated[int, Meta(description="levels of projects below a domain", ge=1, le=64)] = 5
    credentials_per_user: Annotated[int, Meta(description="application credentials a user may have", ge=0)] = 1000
