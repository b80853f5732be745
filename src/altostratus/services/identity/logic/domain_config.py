# SPDX-License-Identifier: Apache-2.0
"""Configuration of single domains: what is stored, what a change may say, and what holds in effect.

Statuses and sentences are upstream's (`DomainConfigManager`): 403 for what no domain may set, 404 for what this one
has not set. Sensitive values are sealed with the keys of stored secrets and never shown.
"""

import json
import re
from math import isfinite
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx, table_of
from altostratus.kernel.errors import Forbidden, NotFound
from altostratus.services.identity.config import PasswordRules
from altostratus.services.identity.logic.changes import announce
from altostratus.services.identity.logic.domain_options import LONGEST_VALUE, OPTIONS, SENSITIVE, kind_of
from altostratus.services.identity.logic.projects import DEFAULT_DOMAIN
from altostratus.services.identity.models import DomainOption
from altostratus.services.identity.tokens.key_ring import CredentialKeys

Config = dict[str, dict[str, Any]]
SECURITY_COMPLIANCE = "security_compliance"
_PLACE = re.compile(r"%\((\w+)\)s")
_KIND_WORDS = {bool: "true or false", int: "a whole number", float: "a number", list: "a list of texts", str: "text"}


def effective(tx: Tx, cloud: Cloud, domain_id: str) -> Config:
    """Every option of every group as it holds for the domain, sensitive ones included: never for a reply.

    `%(password)s` in a text stands for the sensitive option of that name.
    """
    stored = _stored(tx, domain_id)
    found: Config = {}
    for group, defaults in OPTIONS.items():
        own = stored.get(group, {})
        secrets = {name: _unsealed(cloud, own[name]) for name in SENSITIVE[group] if name in own}
        shown = {name: _filled(value, secrets) for name, value in own.items() if name not in secrets}
        found[group] = defaults | SENSITIVE[group] | shown | secrets
    return found


def defaults(group: str | None = None, option: str | None = None) -> dict[str, Any]:
    """What domains have that say nothing. Raises Forbidden for what may not be read."""
    demand_known(group, option)
    if option is not None and option not in OPTIONS[group or ""]:
        raise refusal(f"Reading the default for option {option} in group {group} is not supported")
    return _part(OPTIONS, group, option)


def security_compliance(rules: PasswordRules, domain_id: str, option: str | None = None) -> dict[str, Any]:
    """What people may know of the rules for passwords. Raises Forbidden for other domains than the default one."""
    if domain_id != DEFAULT_DOMAIN:
        raise refusal(
            "Reading security compliance information for any domain other than the default domain is not allowed or"
            " supported"
        )
    shown = {name: getattr(rules, name) or None for name in ("password_regex", "password_regex_description")}
    if option is not None and option not in shown:
        raise refusal(f"Reading security compliance values other than {' and '.join(shown)} is not allowed")
    return _part({SECURITY_COMPLIANCE: shown}, SECURITY_COMPLIANCE, option)


def show(tx: Tx, domain_id: str, group: str | None = None, option: str | None = None) -> dict[str, Any]:
    """What the domain has set, without sensitive values. Raises Forbidden, NotFound."""
    demand_known(group, option)
    visible = _visible(_stored(tx, domain_id))
    _demand_there(visible, domain_id, group, option)
    return _part(visible, group, option)


def replace(tx: Tx, cloud: Cloud, domain_id: str, config: Any) -> tuple[Config, bool]:
    """The domain has this configuration and nothing else; also says whether it is its first."""
    checked = _checked(config)
    is_first = not _stored(tx, domain_id)
    tx.delete_where(DomainOption, table_of(DomainOption).c.domain_id == domain_id)
    _write(tx, cloud, domain_id, checked)
    announce(tx, cloud, f"identity.domain_config.{'created' if is_first else 'updated'}", domain_id)
    return _visible(_stored(tx, domain_id)), is_first


def update(
    tx: Tx, cloud: Cloud, domain_id: str, config: Any, group: str | None = None, option: str | None = None
) -> Config:
    """Merges `config` in: of all groups, of one group, or `{option: value}`. Returns all that may be shown."""
    if option is not None:
        config = {group: config}
    checked = _checked(config)
    demand_known(group, option)
    if group is not None:
        _demand_only(checked, group, option)
        _demand_there(_stored(tx, domain_id), domain_id, group, option)
    _write(tx, cloud, domain_id, checked)
    announce(tx, cloud, "identity.domain_config.updated", domain_id)
    return _visible(_stored(tx, domain_id))


def delete(tx: Tx, cloud: Cloud, domain_id: str, group: str | None = None, option: str | None = None) -> None:
    """Everything, a group or an option falls back to the defaults."""
    demand_known(group, option)
    column = table_of(DomainOption).c
    where = [column.domain_id == domain_id]
    if group is not None:
        _demand_there(_stored(tx, domain_id), domain_id, group, option)
        where.append(column.group == group)
    if option is not None:
        where.append(column.option == option)
    tx.delete_where(DomainOption, *where)
    announce(tx, cloud, "identity.domain_config.deleted", domain_id)


def demand_known(group: str | None, option: str | None) -> None:
    """Raises Forbidden unless domains may set this."""
    if group is not None and group not in OPTIONS:
        raise refusal(
            f"Group {group} is not supported for domain specific configurations; groups are {', '.join(OPTIONS)}"
        )
    if group is not None and option is not None and option not in OPTIONS[group] | SENSITIVE[group]:
        raise refusal(f"Option {option} in group {group} is not supported for domain specific configurations")


def refusal(reason: str) -> Forbidden:
    return Forbidden(f"Invalid domain specific configuration: {reason}.")


# rows


def _stored(tx: Tx, domain_id: str) -> Config:
    option = table_of(DomainOption)
    found: Config = {}
    statement = select(option).where(option.c.domain_id == domain_id).order_by(option.c.group, option.c.option)
    for row in tx.rows(statement):
        found.setdefault(row.group, {})[row.option] = row.encrypted_value or row.value
    return found


def _write(tx: Tx, cloud: Cloud, domain_id: str, config: Config) -> None:
    for group, options in config.items():
        for option, given in options.items():
            values: dict[str, Any] = {"value": given, "encrypted_value": None}
            if option in SENSITIVE[group]:
                sealed = cloud.part(CredentialKeys).seal(json.dumps(given).encode())
                values = {"value": None, "encrypted_value": sealed}
            if tx.update(DomainOption, domain_id, group, option, **values) == 0:
                tx.insert(DomainOption, domain_id=domain_id, group=group, option=option, **values)


def _unsealed(cloud: Cloud, sealed: str) -> Any:
    return json.loads(cloud.part(CredentialKeys).unseal(sealed))


def _visible(config: Config) -> Config:
    shown = {
        group: {option: value for option, value in options.items() if option in OPTIONS.get(group, {})}
        for group, options in config.items()
    }
    return {group: options for group, options in shown.items() if options}


def _part(config: Config, group: str | None, option: str | None) -> dict[str, Any]:
    if group is None:
        return config
    return {group: config[group]} if option is None else {option: config[group][option]}


def _filled(value: Any, secrets: dict[str, Any]) -> Any:
    if not isinstance(value, str):
        return value
    return _PLACE.sub(lambda place: str(secrets.get(place[1], place[0])), value)


# rules


def _demand_there(config: Config, domain_id: str, group: str | None, option: str | None) -> None:
    there = config if group is None else config.get(group, {})
    if there if option is None else option in there:
        return
    what = f"option {option} in group {group}" if option else f"group {group}" if group else "any options"
    raise NotFound(f"Could not find {what} in domain configuration for domain {domain_id}.")


def _demand_only(config: Config, group: str, option: str | None) -> None:
    """The path names a group or an option: the body has that and nothing else."""
    if list(config) != [group]:
        raise refusal(f"Trying to update group {group}, so that, and only that, group must be specified in the config")
    if option is not None and list(config[group]) != [option]:
        raise refusal(
            f"Trying to update option {option} in group {group}, so that, and only that, option must be specified in"
            " the config"
        )


def _checked(config: Any) -> Config:
    """Known groups and options, with values of their kind. Raises Forbidden."""
    if not config or not isinstance(config, dict):
        raise refusal("No options specified")
    for group, options in config.items():
        if not options or not isinstance(options, dict):
            raise refusal(f"The value of group {group} specified in the config should be a dictionary of options")
        for option in options:
            demand_known(group, option)
    return {
        group: {option: _value(group, option, given) for option, given in options.items()}
        for group, options in config.items()
    }


def _value(group: str, option: str, given: Any) -> Any:
    """The value in its own type; numbers and flags may come as text, as in a file."""
    kind = kind_of(group, option)
    value = _converted(kind, given)
    if value is None or len(json.dumps(value)) > LONGEST_VALUE:
        raise refusal(f"Option {option} in group {group} is {_KIND_WORDS[kind]} of at most {LONGEST_VALUE} characters")
    if option == "url" and _has_open_password(value):
        raise refusal(
            "Option url must not carry a password, because it is shown. Give the options user and password instead"
        )
    return value


def _converted(kind: type, given: Any) -> Any:
    """None if it cannot be read as `kind`."""
    if kind is list:
        is_texts = isinstance(given, list) and all(isinstance(one, str) for one in given)
        return given if is_texts else None
    if kind is bool:
        return {"true": True, "false": False}.get(str(given).lower()) if isinstance(given, bool | str) else None
    if kind is str:
        return given if isinstance(given, str) else None
    if isinstance(given, bool) or not isinstance(given, kind | int | str):
        return None
    try:
        number = kind(given)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def _has_open_password(urls: str) -> bool:
    for url in urls.split(","):
        try:
            password = urlsplit(url.strip()).password
        except ValueError:
            continue
        if password and not _PLACE.fullmatch(password):
            return True
    return False
