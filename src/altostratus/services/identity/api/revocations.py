# SPDX-License-Identifier: Apache-2.0
"""What became void and when; and the calls about PKI tokens, which upstream kept to say that they are gone."""

from typing import Any

from altostratus.kernel import clock
from altostratus.kernel.errors import ApiError, BadRequest, Forbidden
from altostratus.kernel.policy import Persona
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op, Reply
from altostratus.services.identity.api.declaring import simple_list
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.logic.revocations import Event, events_since

_SERVICE_OR_ADMIN = Persona("service or admin", "rule:service_or_admin", ("system", "project"))


def list_events(call: Call) -> Reply:
    """Those that can still matter to a token, or those from `?since=` on."""
    options = call.cloud[IdentityOptions]
    oldest = clock.after(-options.token_lifetime_s - options.expired_window_s)
    return simple_list(call, "events", [_shown(one) for one in events_since(call.tx, max(_since(call), oldest))])


def _shown(event: Event) -> dict[str, Any]:
    moment = clock.iso_micro_z(event.revoked_at)
    return {event.what: event.identifier, "issued_before": moment, "revoked_at": moment}


def _since(call: Call) -> str:
    text = call.query.get("since", [""])[-1]
    try:
        return clock.to_timestamp(clock.parse(text)) if text else ""
    except ValueError:
        raise BadRequest(f"invalidate date format {text}. Give a time such as 2030-01-31T12:00:00Z.") from None


class RevocationEvent(Resource, path="/OS-REVOKE/events"):
    """A moment at which some tokens became void."""

    index = Op("GET", "", "identity:list_revoke_events", _SERVICE_OR_ADMIN, list_events)


def list_revoked_tokens(_call: Call) -> Reply:
    raise Forbidden(
        "Tokens are not stored here, so there is no list of revoked ones. Validate a token by GET /v3/auth/tokens, or"
        " read GET /v3/OS-REVOKE/events."
    )


class RevokedToken(Resource, path="/auth/tokens/OS-PKI/revoked"):
    """A list that upstream gives no longer: its answer to everybody is 403."""

    index = Op("GET", "", "identity:revocation_list", _SERVICE_OR_ADMIN, list_revoked_tokens)


def show_certificate(_call: Call) -> Reply:
    raise ApiError(
        "This API is no longer available due to the removal of support for PKI tokens.", status=410, kind="Gone"
    )


class SimpleCertificate(Resource, path="/OS-SIMPLE-CERT"):
    """Certificates that signed PKI tokens: upstream answers 410."""

    authority = Op("GET", "/ca", None, "@", show_certificate, tx="none", public=True)
    signing = Op("GET", "/certificates", None, "@", show_certificate, tx="none", public=True)
