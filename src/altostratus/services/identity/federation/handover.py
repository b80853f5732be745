# SPDX-License-Identifier: Apache-2.0
"""A token on its way from the address that takes assertions to the one that gives tokens, in a sealed cookie.

keystoneauth presents an assertion at one address, is sent on (303), and fetches the token at the other.
"""

from urllib.parse import urlsplit

import msgspec

from altostratus.kernel import clock
from altostratus.kernel.cloud import Cloud
from altostratus.services.identity.tokens.authenticator import TokenAuthenticator

_COOKIE = "altostratus_saml"
_SEAL = b"saml\0"  # no token begins like this
_LIFE_S = 60


class _Parcel(msgspec.Struct, frozen=True):
    way: tuple[str, str]
    token: str
    ends_at: float


def cookie_with(cloud: Cloud, way: tuple[str, str], token: str, url: str) -> str:
    """`way`: identity provider and protocol. `url`: where the cookie is to be brought."""
    parcel = _Parcel(way, token, clock.unix() + _LIFE_S)
    sealed = cloud.part(TokenAuthenticator).keys.seal(_SEAL + msgspec.json.encode(parcel))
    place = urlsplit(url)
    secure = "; Secure" if place.scheme == "https" else ""
    return f"{_COOKIE}={sealed}; Path={place.path}; Max-Age={_LIFE_S}; HttpOnly; SameSite=Strict{secure}"


def token_in(cloud: Cloud, cookies: str, way: tuple[str, str]) -> str | None:
    for pair in cookies.split(";"):
        name, _, value = pair.strip().partition("=")
        if name != _COOKIE:
            continue
        try:
            data = cloud.part(TokenAuthenticator).keys.unseal(value)
            parcel = msgspec.json.decode(data.removeprefix(_SEAL), type=_Parcel) if data.startswith(_SEAL) else None
        except (ValueError, msgspec.MsgspecError):
            continue
        if parcel is not None and parcel.way == way and parcel.ends_at > clock.unix():
            return parcel.token
    return None
