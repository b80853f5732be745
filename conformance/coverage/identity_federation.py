# SPDX-License-Identifier: Apache-2.0
"""The identity API's calls about federation, with a real provider of OpenID Connect that runs beside the cloud."""

import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

from conformance.coverage.caller import send
from conformance.coverage.steps import Call, Memory, filled

_DASHBOARD = "https://horizon.example.com/auth/websso/"
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_CONFIG = """
[federation]
trusted_dashboard = ["{dashboard}"]
saml_entity_id = "urn:this-cloud"

# the cloud takes its own word, as if it were another one
[federation.saml.acme-login]
entity_id = "urn:this-cloud"
certificate_file = "{certificate}"
acs_url = "https://other.acme.org/Shibboleth.sso/SAML2/ECP"
protocol = "openid"

[federation.oidc.acme-login]
issuer = "{issuer}"
client_id = "cloud"
client_secret = "cloud-secret"
"""


@contextmanager
def provider() -> Iterator[tuple[str, Memory]]:
    """The provider of the package oidc-provider-mock: the cloud's settings that name it, and `issuer`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    issuer = f"http://127.0.0.1:{port}"
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    certificate = directory / "certificate.pem"
    argv = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(f"{issuer}/.well-known/openid-configuration")
            config = _CONFIG.format(dashboard=_DASHBOARD, issuer=issuer, certificate=certificate)
            yield config, {"issuer": issuer, "certificate": str(certificate)}
        finally:
            process.terminate()
            shutil.rmtree(directory)


def _wait_for(url: str) -> None:
    ends = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.1)


def _consent(authorize_url: str) -> str:
    """Jane logs in at the provider and consents; the address to which the browser is sent then."""
    _, headers, _ = send("POST", authorize_url, urlencode({"sub": "jane"}), _FORM)
    return headers["location"]


def _come_back(memory: Memory) -> str:
    return urlsplit(_consent(memory["login_page"])).query


def _bearer(memory: Memory, _url: str) -> dict[str, str]:
    """A program that logged Jane in by itself has an ID token of the provider."""
    back = "http://127.0.0.1/back"
    wish = {"client_id": "cloud", "redirect_uri": back, "response_type": "code", "scope": "openid", "state": "s"}
    code = parse_qs(urlsplit(_consent(f"{memory['issuer']}/oauth2/authorize?{urlencode(wish)}")).query)["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": back}
    secret = {"client_id": "cloud", "client_secret": "cloud-secret"}
    _, _, text = send("POST", f"{memory['issuer']}/oauth2/token", urlencode(form | secret), _FORM)
    return {"Authorization": f"Bearer {json.loads(text)['id_token']}"}


def _presented(memory: Memory, url: str) -> dict[str, str]:
    """The operator has read the metadata; demo's client has fetched an assertion to present."""
    base = url.partition("/v3/")[0] + "/v3"
    _, _, metadata = send("GET", f"{base}/OS-FEDERATION/saml2/metadata", None, {})
    certificate = re.findall("<ds:X509Certificate>(.*?)<", metadata)[0]
    Path(memory["certificate"]).write_text(f"-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n")
    asked = json.dumps(filled(_ASSERTION, memory))
    kind = {"Content-Type": "application/json"}
    _, _, memory["assertion"] = send("POST", f"{base}/auth/OS-FEDERATION/saml2/ecp", asked, kind)
    return {"Content-Type": "application/vnd.paos+xml"}


_RULES = [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": name}]} for name in ("OIDC-sub", "openstack_user")]
_IDP = "/v3/OS-FEDERATION/identity_providers/{idp_id}"
_PROTOCOL = f"{_IDP}/protocols/{{protocol_id}}"
_SIGN_ON = "/v3/auth/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}"
_OTHER_CLOUD = {
    "auth_url": "https://other.acme.org/v3/auth",
    "sp_url": "https://other.acme.org/Shibboleth.sso/SAML2/ECP",
}
_ORIGIN = urlencode({"origin": _DASHBOARD})
_ASSERTION = {"auth": {"identity": {"methods": ["token"], "token": {"id": "{token_of_demo}"}},
                       "scope": {"service_provider": {"id": "{sp_id}"}}}}  # fmt: skip
FEDERATION = (
    Call("PUT /v3/OS-FEDERATION/mappings/{mapping_id}", {"mapping": {"rules": _RULES}}),
    Call("GET /v3/OS-FEDERATION/mappings"),
    Call("GET /v3/OS-FEDERATION/mappings/{mapping_id}"),
    Call("PATCH /v3/OS-FEDERATION/mappings/{mapping_id}", {"mapping": {"rules": _RULES}}),
    Call(f"PUT {_IDP}", {"identity_provider": {"remote_ids": ["{issuer}"], "enabled": True}}),
    Call("GET /v3/OS-FEDERATION/identity_providers"),
    Call(f"GET {_IDP}"),
    Call(f"PATCH {_IDP}", {"identity_provider": {"description": "the login of acme"}}),
    Call(f"PUT {_PROTOCOL}", {"protocol": {"mapping_id": "{mapping_id}"}}),
    Call(f"GET {_IDP}/protocols"),
    Call(f"GET {_PROTOCOL}"),
    Call(f"PATCH {_PROTOCOL}", {"protocol": {"mapping_id": "{mapping_id}"}}),
    Call(f"GET {_PROTOCOL}/auth", headers=_bearer, by=""),
    Call(f"POST {_PROTOCOL}/auth", headers=_bearer, by=""),
    Call("GET /v3/auth/OS-FEDERATION/websso/{protocol_id}", query=_ORIGIN, by="", status=302),
    Call("POST /v3/auth/OS-FEDERATION/websso/{protocol_id}", query=_ORIGIN, by="", status=302),
    Call(f"POST {_SIGN_ON}/websso", query=_ORIGIN, by="", status=302),
    Call(f"GET {_SIGN_ON}/websso", keep="login_page=header.location cookie=header.set-cookie", query=_ORIGIN, by="",
         status=302),
    Call(f"GET {_SIGN_ON}/callback", query=_come_back, headers={"Cookie": "{cookie}"}, by=""),
    Call("GET /v3/OS-FEDERATION/projects", by="demo"),
    Call("GET /v3/OS-FEDERATION/domains", by="demo"),
    Call("PUT /v3/OS-FEDERATION/service_providers/{sp_id}", {"service_provider": _OTHER_CLOUD | {"enabled": True}}),
    Call("GET /v3/OS-FEDERATION/service_providers"),
    Call("GET /v3/OS-FEDERATION/service_providers/{sp_id}"),
    Call("PATCH /v3/OS-FEDERATION/service_providers/{sp_id}", {"service_provider": {"description": "another"}}),
    Call("GET /v3/OS-FEDERATION/saml2/metadata", by=""),
    Call("POST /v3/auth/OS-FEDERATION/saml2", _ASSERTION, by="demo"),
    Call("POST /v3/auth/OS-FEDERATION/saml2/ecp", _ASSERTION, by="demo"),
    Call(f"POST {_SIGN_ON}/saml2/ecp", lambda memory: memory["assertion"], headers=_presented, by="", status=303),
    Call("DELETE /v3/OS-FEDERATION/service_providers/{sp_id}"),
    Call(f"DELETE {_PROTOCOL}"),
    Call(f"DELETE {_IDP}"),
    Call("DELETE /v3/OS-FEDERATION/mappings/{mapping_id}"),
)  # fmt: skip
