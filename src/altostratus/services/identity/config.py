# SPDX-License-Identifier: Apache-2.0
"""The `[identity]` section."""

import hmac
import ipaddress
import re
from typing import Annotated, Any, Literal

from altostratus.kernel.config import Meta, Section
from altostratus.services.identity.logic import domain_options

_SHORTEST_KEY = 16


class PasswordRules(Section, frozen=True, kw_only=True):
    """What upstream has in `[security_compliance]`, `[totp]` and `[receipt]`, under the same names; 0 is off.

    `__post_init__` raises ValueError for a password_regex that is none, and for hashes without function or key.
    """

    lockout_failure_attempts: Annotated[
        int, Meta(description="wrong passwords and passcodes in a row that lock an account; 0: no lock", ge=0)
    ] = 0
    lockout_duration: Annotated[
        int, Meta(description="seconds that an account stays locked; 0: until an administrator enables it", ge=0)
    ] = 1800
    disable_user_account_days_inactive: Annotated[
        int, Meta(description="days without a login after which a user counts as disabled; 0: never", ge=0)
    ] = 0
    password_expires_days: Annotated[
        int, Meta(description="days for which a new password is good; 0: for ever", ge=0, le=36_500)
    ] = 0
    unique_last_password_count: Annotated[
        int, Meta(description="own last passwords, the present one included, that cannot be chosen again", ge=0, le=50)
    ] = 0
    minimum_password_age: Annotated[
        int, Meta(description="days before a password that one chose oneself can be changed again", ge=0, le=36_500)
    ] = 0
    password_regex: Annotated[str, Meta(description="what every new password must match; empty: anything")] = ""
    password_regex_description: Annotated[
        str, Meta(description="password_regex in words, for people whose password was refused")
    ] = ""
    change_password_upon_first_use: Annotated[
        bool, Meta(description="a password that an administrator has set must be changed before anything else")
    ] = False
    report_invalid_password_hash: Annotated[
        list[Literal["event"]],
        Meta(description='["event"]: events of refused logins carry a piece of the wrong password\'s keyed hash'),
    ] = []
    invalid_password_hash_secret_key: Annotated[
        str, Meta(description="key of those hashes, 16 bytes or more, the same for all processes of the cloud")
    ] = ""
    invalid_password_hash_function: Annotated[
        str, Meta(description="hash function of those hashes, by its name in Python's hashlib")
    ] = "sha256"
    invalid_password_hash_max_chars: Annotated[
        int, Meta(description="how much of the hash is told; 0: all of it", ge=0)
    ] = 5
    included_previous_windows: Annotated[
        int, Meta(description="former 30-second windows whose TOTP passcode is still taken", ge=0, le=10)
    ] = 1
    receipt_lifetime_s: Annotated[
        int, Meta(description="time to bring the other factors after the first ones were right", ge=1, le=86_400)
    ] = 300

    def __post_init__(self) -> None:
        try:
            re.compile(self.password_regex)
        except re.error as error:
            raise ValueError(f"password_regex is not a regular expression: {error}") from None
        try:
            hmac.digest(b"key", b"", self.invalid_password_hash_function)
        except (ValueError, TypeError):
            words = f"{self.invalid_password_hash_function} is no hash function; write sha256 or sha512"
            raise ValueError(f"invalid_password_hash_function: {words}") from None
        if self.report_invalid_password_hash and len(self.invalid_password_hash_secret_key) < _SHORTEST_KEY:
            raise ValueError(f"invalid_password_hash_secret_key must have {_SHORTEST_KEY} characters at least")


class IdentityOptions(PasswordRules, frozen=True, kw_only=True, name="identity"):
    """What concerns users, tokens and the catalog."""

    token_lifetime_s: Annotated[int, Meta(description="how long a token is valid", ge=60, le=31_536_000)] = 3600
    expired_window_s: Annotated[
        int, Meta(description="how long after its end a token may still be looked at with allow_expired", ge=0)
    ] = 172_800
    token_cache_size: Annotated[int, Meta(description="tokens remembered by each process", ge=1, le=1_000_000)] = 2_000
    revision_check_s: Annotated[
        float, Meta(description="how often a process looks whether another one changed identity", ge=0)
    ] = 1.0
    return_all_endpoints_if_no_filter: Annotated[
        bool, Meta(description="the catalog of a project that is associated with no endpoint shows all of them")
    ] = True
    project_depth: Annotated[int, Meta(description="levels of projects below a domain", ge=1, le=64)] = 5
    token_provider: Annotated[
        str, Meta(description="kind of new tokens, fernet or jws; both kinds are taken", pattern="^(fernet|jws)$")
    ] = "fernet"
    request_token_lifetime_s: Annotated[
        int, Meta(description="time to authorize an OAuth 1 request token; 0: for ever", ge=0)
    ] = 28_800
    access_token_lifetime_s: Annotated[
        int, Meta(description="how long an OAuth 1 access token is good for new logins; 0: for ever", ge=0)
    ] = 86_400
    signed_request_lifetime_s: Annotated[
        int, Meta(description="how far the time in a signed EC2 request may be off", ge=1)
    ] = 900
    external_user_header: Annotated[
        str,
        # letters and digits only: a dash has a second spelling, the underscore, that a proxy may forget to take out
        Meta(
            description="header, such as RemoteUser, in which a web server in front names whom it has logged in;"
            " letters and digits only; empty: no method external",
            pattern="^[A-Za-z0-9]*$",
        ),
    ] = ""
    external_proxies: Annotated[
        list[str], Meta(description="addresses or networks of that web server; the header is believed from nobody else")
    ] = []
    external_domain_id: Annotated[str, Meta(description="domain of the users that the header names")] = "default"
    trust_redelegations: Annotated[
        int, Meta(description="how often in a row a trust may be passed on (upstream's max_redelegation_count)", ge=0)
    ] = 3
    directories: Annotated[
        dict[str, dict[str, Any]],
        Meta(description="options of LDAP directories by the name or id of their domain, before those of the API"),
    ] = {}
    directory_refresh_s: Annotated[
        int, Meta(description="after this time users of directories who have tokens are looked at again", ge=1)
    ] = 60
    directory_list_limit: Annotated[
        int, Meta(description="users, groups or members taken from a directory at once", ge=1, le=100_000)
    ] = 2_000
    directory_calls_at_once: Annotated[
        int, Meta(description="threads of a process that may wait for one directory", ge=1, le=64)
    ] = 4
    directory_forget_days: Annotated[
        int, Meta(description="days after which a user whom the directory does not have any more is deleted", ge=1)
    ] = 30
    enforcement_model: Annotated[
        str,
        Meta(
            description="flat: limits of projects are on their own; strict_two_level: those of a domain hold for its "
            "projects together, and there are no projects below projects",
            pattern="^(flat|strict_two_level)$",
        ),
    ] = "flat"
    credentials_per_user: Annotated[int, Meta(description="application credentials a user may have", ge=0)] = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        for network in self.external_proxies:
            ipaddress.ip_network(network)
        for domain, given in self.directories.items():
            unknown = sorted(set(given) - set(domain_options.LDAP) - set(domain_options.SENSITIVE["ldap"]))
            if unknown:
                raise ValueError(f"directories.{domain} has no option {unknown[0]}")
