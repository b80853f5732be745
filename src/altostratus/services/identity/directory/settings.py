# SPDX-License-Identifier: Apache-2.0
"""The `ldap` options of a domain, checked once. Names and meaning are upstream's (`keystone.conf.ldap`)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from altostratus.kernel.errors import Unavailable
from altostratus.kernel.numbers import whole_number

SHORTEST_TIMEOUT_S, DEFAULT_TIMEOUT_S = 1, 5
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+")
_TRUE_WORDS = frozenset({"true", "yes", "on", "1"})


class WrongSettings(Unavailable):
    """The domain's directory cannot be used; the message names the option and says what to write."""


@dataclass(frozen=True, slots=True)
class Server:
    host: str
    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Tls:
    """`start`: StartTLS on a plain connection. `verify` is off for `tls_req_cert` never and allow."""

    start: bool
    verify: bool
    ca_file: str | None
    ca_directory: str | None


@dataclass(frozen=True, slots=True)
class Entities:
    """Where users (or groups) are, and which of their attributes is what.

    `attributes` maps our names (`name`, `email`, `description`, `enabled`, `default_project_id`) to the directory's;
    `additional` the directory's to names in replies.
    """

    tree_dn: str
    object_class: str
    filter: str
    id_attribute: str
    attributes: Mapping[str, str]
    additional: Mapping[str, str]
    rights: frozenset[str]


@dataclass(frozen=True, slots=True)
class Enabled:
    """How the directory says that a user is enabled. `group_dn`: members of this group are (emulation)."""

    mask: int
    default: str
    invert: bool
    group_dn: str | None
    group_member_attribute: str

    def number(self, text: str | None) -> int:
        """For a mask. The default for what is no number, or nothing."""
        try:
            return int(text or self.default)
        except ValueError:
            return int(self.default)


@dataclass(frozen=True, slots=True)
class LdapSettings:
    servers: tuple[Server, ...]
    randomize: bool
    user: str | None
    password: str | None
    tls: Tls
    timeout_s: int
    subtree: bool
    page_size: int
    dereference: str
    chase_referrals: bool
    users: Entities
    groups: Entities
    enabled: Enabled
    password_attribute: str
    member_attribute: str
    members_are_ids: bool
    nested_groups: bool


def parse_settings(options: Mapping[str, Any]) -> LdapSettings:
    """The group `ldap` of `domain_config.effective`. Raises WrongSettings."""
    servers = _servers(str(options["url"]))
    use_tls = bool(options["use_tls"])
    if use_tls and any(server.tls for server in servers):
        raise WrongSettings("Set [ldap] use_tls to false: a url of ldaps:// is encrypted from its start.")
    timeout_s = int(options.get("connection_timeout") or -1)
    users = _entities(options, "user", "ou=Users", ("mail", "description", "enabled", "default_project_id"))
    groups = _entities(options, "group", "ou=UserGroups", ("desc",))
    return LdapSettings(
        servers=servers,
        randomize=bool(options.get("randomize_urls")),
        user=options["user"] or None,
        password=options["password"] or None,
        tls=Tls(
            use_tls, options["tls_req_cert"] == "demand", options["tls_cacertfile"] or None,
            options["tls_cacertdir"] or None,
        ),
        timeout_s=max(SHORTEST_TIMEOUT_S, timeout_s) if timeout_s > 0 else DEFAULT_TIMEOUT_S,
        subtree=_choice(options, "query_scope", ("one", "sub")) == "sub",
        page_size=max(0, int(options["page_size"] or 0)),
        dereference=_choice(
            options, "alias_dereferencing", ("never", "searching", "always", "finding", "default")
        ),
        chase_referrals=bool(options["chase_referrals"]),
        users=users,
        groups=groups,
        enabled=_enabled(options, users),
        password_attribute=_attribute(options, "user_pass_attribute"),
        member_attribute=_attribute(options, "group_member_attribute"),
        members_are_ids=bool(options["group_members_are_ids"]),
        nested_groups=bool(options["group_ad_nesting"]),
    )  # fmt: skip


def _servers(urls: str) -> tuple[Server, ...]:
    found = []
    for url in filter(None, re.split(r"[\s,]+", urls)):
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise WrongSettings(f"[ldap] url {url!r} is not an address; write ldap://HOST[:PORT].") from None
        if parts.scheme not in ("ldap", "ldaps") or not parts.hostname or parts.username is not None:
            raise WrongSettings(
                f"[ldap] url has the scheme {parts.scheme!r}; only ldap://HOST[:PORT] and ldaps://HOST[:PORT] are used,"
                " with the options user and password apart."
            )
        found.append(Server(parts.hostname, port or (636 if parts.scheme == "ldaps" else 389), parts.scheme == "ldaps"))
    if not found:
        raise WrongSettings("[ldap] url is empty; write ldap://HOST[:PORT].")
    return tuple(found)


def _entities(options: Mapping[str, Any], kind: str, unit: str, words: Iterable[str]) -> Entities:
    ignored = set(options[f"{kind}_attribute_ignore"])
    ours = {"mail": "email", "desc": "description"}
    attributes = {"name": _attribute(options, f"{kind}_name_attribute")}
    for word in words:
        name = ours.get(word, word)
        if options[f"{kind}_{word}_attribute"] and name not in ignored:
            attributes[name] = _attribute(options, f"{kind}_{word}_attribute")
    return Entities(
        tree_dn=options[f"{kind}_tree_dn"] or f"{unit},{options['suffix']}",
        object_class=_attribute(options, f"{kind}_objectclass"),
        filter=_filter(options, f"{kind}_filter"),
        id_attribute=_attribute(options, f"{kind}_id_attribute"),
        attributes=attributes,
        additional=_additional(options, f"{kind}_additional_attribute_mapping"),
        rights=frozenset(right for right in ("create", "update", "delete") if options[f"{kind}_allow_{right}"]),
    )


def _enabled(options: Mapping[str, Any], users: Entities) -> Enabled:
    mask = int(options["user_enabled_mask"] or 0)
    default = str(options["user_enabled_default"])
    if mask and whole_number(default) is None:
        raise WrongSettings("[ldap] user_enabled_mask needs a whole number as user_enabled_default, for example 512.")
    group_dn = None
    if options["user_enabled_emulation"]:
        group_dn = options["user_enabled_emulation_dn"] or f"cn=enabled_users,{users.tree_dn}"
    own_group = options["user_enabled_emulation_use_group_config"]
    return Enabled(
        mask=mask,
        default=default,
        invert=bool(options["user_enabled_invert"]),
        group_dn=group_dn,
        group_member_attribute=_attribute(options, "group_member_attribute") if own_group else "member",
    )


def _attribute(options: Mapping[str, Any], name: str) -> str:
    value = str(options[name])
    if not _ATTRIBUTE.fullmatch(value):
        raise WrongSettings(f"[ldap] {name} is {value!r}, which cannot be the name of an attribute or class.")
    return value


def _choice(options: Mapping[str, Any], name: str, known: tuple[str, ...]) -> str:
    if options[name] not in known:
        raise WrongSettings(f"[ldap] {name} is {options[name]!r}; write one of: {', '.join(known)}.")
    return str(options[name])


def _filter(options: Mapping[str, Any], name: str) -> str:
    """A filter in parentheses, or nothing."""
    text = str(options[name] or "").strip()
    if text and not (text.startswith("(") and text.endswith(")") and text.count("(") == text.count(")")):
        raise WrongSettings(f"[ldap] {name} is not a filter; write it in parentheses, for example (memberOf=...).")
    return text


def _additional(options: Mapping[str, Any], name: str) -> dict[str, str]:
    found = {}
    for pair in options[name]:
        theirs, _, ours = str(pair).partition(":")
        if not _ATTRIBUTE.fullmatch(theirs) or not ours:
            raise WrongSettings(f"[ldap] {name} has {pair!r}; write <directory's attribute>:<name in replies>.")
        found[theirs] = ours
    return found


def is_true(text: str) -> bool:
    return text.strip().lower() in _TRUE_WORDS
