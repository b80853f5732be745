# SPDX-License-Identifier: Apache-2.0
"""From what an identity provider said to a token: the mapping is applied, and the user it leads to logs in."""

from altostratus.kernel import clock, log
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx
from altostratus.kernel.errors import Forbidden, NotFound, Unauthorized
from altostratus.services.identity.errors import not_found
from altostratus.services.identity.federation.config import FederationOptions
from altostratus.services.identity.federation.mapping import Assertion, Mapped, MappingError, apply_mapping
from altostratus.services.identity.logic import federation, login
from altostratus.services.identity.logic.login import LoginError
from altostratus.services.identity.logic.shadow_users import find_domain, shadow_user, voucher_for
from altostratus.services.identity.logic.token_state import VoidTokenError
from altostratus.services.identity.models import Mapping
from altostratus.services.identity.tokens.attempt import Attempt
from altostratus.services.identity.tokens.authenticator import UNAUTHORIZED, Entry
from altostratus.services.identity.tokens.layout import METHODS, Federated
from altostratus.services.identity.tokens.login import issue, note_login

_log = log.get("identity")
MOST_GROUPS = 128
REMOTE_USER = "REMOTE_USER"


def demand_usable(cloud: Cloud, idp_id: str, protocol_id: str) -> None:
    """Raises NotFound or Forbidden unless users may come this way: asked before any provider is."""
    with cloud.db.read() as tx:
        federation.demand_enabled_idp(tx, idp_id)
        federation.get_protocol(tx, idp_id, protocol_id)


def log_in(cloud: Cloud, idp_id: str, protocol_id: str, assertion: Assertion) -> tuple[str, Entry]:
    """A token for the user that a verified assertion leads to: unscoped, or for a local user's default project.

    Raises Unauthorized (the log says why), Forbidden (a disabled provider, or a wrong one) or NotFound.
    """
    attempt = Attempt(clock.now(), "unscoped")
    try:
        with cloud.db.read() as tx:
            mapped = _mapped(tx, cloud, idp_id, protocol_id, assertion)
        if mapped.user["type"] == "local":
            attempt.wanted_scope = None
            with cloud.db.read() as tx:
                _settle_local(tx, attempt, mapped, idp_id)
        else:
            with cloud.db.write() as tx:
                _settle_shadow(tx, cloud, attempt, mapped, (idp_id, protocol_id), assertion)
        attempt.methods.append(protocol_id if protocol_id in METHODS else "mapped")
        token, entry = issue(cloud, attempt)
    except (LoginError, VoidTokenError, MappingError) as error:
        _log.info("a user of identity provider %s was refused: %s", idp_id, error)
        raise Unauthorized(UNAUTHORIZED) from None
    note_login(cloud, attempt)
    return token, entry


def _mapped(tx: Tx, cloud: Cloud, idp_id: str, protocol_id: str, assertion: Assertion) -> Mapped:
    idp = federation.demand_enabled_idp(tx, idp_id)
    protocol = federation.get_protocol(tx, idp_id, protocol_id)
    mapping = tx.find(Mapping, protocol.mapping_id)
    if mapping is None:
        raise not_found("mapping", protocol.mapping_id)
    attribute = protocol.remote_id_attribute or cloud[FederationOptions].remote_id_attribute
    remote_ids = federation.remote_ids_of(tx, [idp.id])[idp.id]
    if attribute and remote_ids:
        named = list(assertion.get(attribute, ()))
        if len(named) != 1 or named[0] not in remote_ids:
            raise Forbidden("Incoming identity provider identifier not included among the accepted identifiers.")
    return apply_mapping(mapping.rules, mapping.schema_version, assertion)


def _settle_local(tx: Tx, attempt: Attempt, mapped: Mapped, idp_id: str) -> None:
    """Groups and projects of the mapping do not count for users who have their own here."""
    given = mapped.user
    named = {"id": given["id"]} if given.get("id") else {"name": given.get("name", ""), "domain": given.get("domain")}
    if "id" not in named and not named["domain"]:
        idp = federation.demand_enabled_idp(tx, idp_id)
        named["domain"] = {"id": find_domain(tx, None, idp.domain_id)}
    user = login.find_login_user(tx, named)
    if user is None:
        raise LoginError(f"the mapping names a local user who does not exist or is disabled: {named}")
    attempt.settle_user(user)


def _settle_shadow(
    tx: Tx, cloud: Cloud, attempt: Attempt, mapped: Mapped, way: tuple[str, str], assertion: Assertion
) -> None:
    try:
        idp = federation.demand_enabled_idp(tx, way[0])
        federation.get_protocol(tx, *way)
    except NotFound:
        raise LoginError("the identity provider or its protocol was deleted meanwhile") from None
    remote_user = next(iter(assertion.get(REMOTE_USER, ())), None)
    user, group_ids = shadow_user(tx, cloud, voucher_for(idp, way[1], mapped, remote_user), mapped)
    if len(group_ids) > MOST_GROUPS:
        raise LoginError(f"the mapping gives {len(group_ids)} groups; a token holds {MOST_GROUPS}")
    attempt.settle_user(user)
    attempt.federated = Federated(way[0], way[1], group_ids)
