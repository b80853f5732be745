# SPDX-License-Identifier: Apache-2.0
"""Keystone to keystone between two of our clouds, by keystoneauth's own plugin; and what nobody must take."""

import re
from copy import deepcopy

import pytest
from argon2 import PasswordHasher
from keystoneauth1 import session as ks_session
from keystoneauth1.identity import v3
from lxml import etree
from signxml.algorithms import CanonicalizationMethod
from signxml.signer import XMLSigner

from altostratus.kernel import clock
from altostratus.services.identity.federation.config import FederationOptions, SamlPeer
from altostratus.services.identity.federation.saml import keys
from altostratus.services.identity.federation.saml.keys import load_signing_key
from altostratus.services.identity.federation.saml.names import PROTOCOL, SAML, SIGNATURE, SOAP, tag
from altostratus.services.identity.reconcilers.memberships import forget_assertions
from altostratus.services.identity.tokens import passwords
from tests.services.identity.conftest import BASE, project
from tests.services.identity.federation.conftest import FED, FederatedCloud

ALPHA = "https://alpha.example/idp"
ACS = f"{BASE}/auth/OS-FEDERATION/identity_providers/alpha/protocols/saml2/saml2/ecp"
AUTH = f"{FED}/identity_providers/alpha/protocols/saml2/auth"
SP_URL = f"http://beta.example{ACS}"
RULES = [
    {
        "local": [{"user": {"name": "{0}"}}, {"groups": "{1}", "domain": {"id": "default"}}],
        "remote": [{"type": "openstack_user"}, {"type": "openstack_project"}],
    }
]
PAOS = {"Content-Type": "application/vnd.paos+xml"}


@pytest.fixture(scope="session")
def alphas_key():
    """Made once: a key of 3072 bits takes a second."""
    return keys._new_pem()


@pytest.fixture(scope="session")
def strangers_key():
    return keys.load_signing_key(None)


@pytest.fixture
def clouds(tmp_path, monkeypatch, strangers_key, alphas_key):
    """`alpha`, which vouches for its users, and `beta`, which takes its word."""
    monkeypatch.setattr(keys, "_new_pem", lambda: alphas_key)
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    (tmp_path / "alpha").mkdir()
    (tmp_path / "beta").mkdir()
    alpha = FederatedCloud(tmp_path / "alpha", sections=[FederationOptions(saml_entity_id=ALPHA)])
    certificate = re.findall("<ds:X509Certificate>(.*?)<", alpha.client(None).get(f"{FED}/saml2/metadata").text)[0]
    file = tmp_path / "alpha.pem"
    file.write_text(f"-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n")
    peer = SamlPeer(entity_id=ALPHA, certificate_file=str(file), acs_url=SP_URL)
    beta = FederatedCloud(
        tmp_path / "beta", sections=[FederationOptions(saml={"alpha": peer}, saml_entity_id="urn:beta")]
    )
    beta.put("mappings/alpha", mapping={"rules": RULES})
    beta.put("identity_providers/alpha", identity_provider={"enabled": True})
    beta.put("identity_providers/alpha/protocols/saml2", protocol={"mapping_id": "alpha"})
    beta.make_group("demo", "member", "demo")
    alpha.put(
        "service_providers/beta",
        service_provider={"auth_url": f"http://beta.example{AUTH}", "sp_url": SP_URL, "enabled": True},
    )
    with alpha, beta:
        yield alpha, beta


def demand(alpha, token, *, provider="beta", ecp=True):
    auth = {
        "identity": {"methods": ["token"], "token": {"id": token}},
        "scope": {"service_provider": {"id": provider}},
    }
    return alpha.client(None).post(f"{BASE}/auth/OS-FEDERATION/saml2{'/ecp' if ecp else ''}", {"auth": auth})


def word_for_demo(alpha):
    """alpha's word for its user demo, ready to be presented."""
    answer = demand(alpha, alpha.token("demo", "demo-password", project("demo")))
    assert answer.status == 200, answer.text
    return answer.content


def present(beta, message, **headers):
    return beta.client(None).post(ACS, message, headers=PAOS | headers)


def fetch(beta, answer):
    cookie = answer.headers["set-cookie"].split(";")[0]
    return beta.client(None).get(AUTH, headers={"Cookie": cookie})


def test_keystoneauth_s_own_plugin_goes_from_cloud_to_cloud(clouds, tmp_path):
    alpha, beta = clouds
    with alpha.served() as alpha_url, beta.served() as beta_url:
        # the addresses that the sockets got
        acs = beta_url.removesuffix(BASE) + ACS
        peer = beta.cloud[FederationOptions].saml["alpha"]
        options = FederationOptions(
            saml={"alpha": SamlPeer(entity_id=ALPHA, certificate_file=peer.certificate_file, acs_url=acs)}
        )
        beta.cloud.settings._sections[FederationOptions] = options
        alpha.admin.patch(
            f"{FED}/service_providers/beta",
            {"service_provider": {"sp_url": acs, "auth_url": beta_url.removesuffix(BASE) + AUTH}},
        )
        local = v3.Password(
            auth_url=alpha_url,
            username="demo",
            password="demo-password",
            user_domain_id="default",
            project_name="demo",
            project_domain_id="default",
        )
        remote = v3.Keystone2Keystone(local, "beta", project_name="demo", project_domain_id="default")
        access = ks_session.Session(auth=remote)
        token = access.get_token()
        assert access.get_user_id() and remote.get_access(access).username == "demo"
    shown = beta.admin.get(f"{BASE}/auth/tokens", headers={"X-Subject-Token": token}).json["token"]
    assert shown["user"]["OS-FEDERATION"]["identity_provider"] == {"id": "alpha"}
    assert {role["name"] for role in shown["roles"]} == {"member", "reader"}
    assert shown["user"]["domain"]["id"] != "default", "it is not beta's own user demo"


def test_what_alpha_says(clouds):
    alpha, _ = clouds
    user = alpha.make_user("jane")
    group = alpha.make_group("devs", "member", "demo")
    alpha.admin.put(f"{BASE}/groups/{group['id']}/users/{user['id']}")
    answer = demand(alpha, alpha.token("jane", "secret", project("demo")), ecp=False)
    assert answer.headers["x-sp-url"] == SP_URL and answer.headers["x-auth-url"].endswith(AUTH)
    assert answer.headers["content-type"].startswith("text/xml")
    root = etree.fromstring(answer.content)
    facts = {
        attribute.get("Name"): [value.text for value in attribute] for attribute in root.iter(tag(SAML, "Attribute"))
    }
    assert facts == {
        "openstack_user": ["jane"],
        "openstack_user_domain": ["Default"],
        "openstack_roles": ["member", "reader"],
        "openstack_project": ["demo"],
        "openstack_project_domain": ["Default"],
        "openstack_groups": ['JSON:{"name":"devs","domain":{"name":"Default"}}'],
    }
    assert b"jane" in answer.content and root.tag == tag(PROTOCOL, "Response")


def test_the_envelope_and_the_metadata(clouds):
    alpha, _ = clouds
    root = etree.fromstring(word_for_demo(alpha))
    assert root.tag == tag(SOAP, "Envelope")
    assert root.find(f"{tag(SOAP, 'Header')}/*").text.startswith("ss:mem:")
    shown = alpha.client(None).get(f"{FED}/saml2/metadata")
    assert shown.headers["content-type"].startswith("text/xml")
    assert etree.fromstring(shown.content).get("entityID") == ALPHA
    assert "PRIVATE" not in shown.text
    key_file = next(alpha.directory.glob("keys/saml/*"))
    assert key_file.stat().st_mode & 0o777 == 0o600


def test_every_cloud_makes_a_key_of_its_own_and_keeps_it(tmp_path, strangers_key, alphas_key):
    first = load_signing_key(tmp_path)
    assert load_signing_key(tmp_path).certificate == first.certificate != strangers_key.certificate
    assert keys._parse(alphas_key).certificate != strangers_key.certificate


def test_whom_alpha_does_not_speak_for(clouds):
    alpha, _ = clouds
    assert demand(alpha, "nonsense").status == 401
    assert demand(alpha, alpha.token("demo", "demo-password", "unscoped")).status == 403
    scoped = alpha.token("demo", "demo-password", project("demo"))
    assert demand(alpha, scoped, provider="nobody").status == 404
    alpha.admin.patch(f"{FED}/service_providers/beta", {"service_provider": {"enabled": False}})
    refused = demand(alpha, scoped)
    assert refused.status == 403 and "disabled" in refused.text


def test_restricted_credentials_do_not_speak_for_their_user(clouds):
    alpha, _ = clouds
    demo = alpha.as_user("demo", "demo-password", project("demo"))
    user_id = demo.get(f"{BASE}/auth/tokens", headers={"X-Subject-Token": demo.token}).json["token"]["user"]["id"]
    for unrestricted, status in ((False, 403), (True, 200)):
        body = {"application_credential": {"name": str(unrestricted), "secret": "s", "unrestricted": unrestricted}}
        made = demo.post(f"{BASE}/users/{user_id}/application_credentials", body).json["application_credential"]
        method = {"id": made["id"], "secret": "s"}
        auth = {"identity": {"methods": ["application_credential"], "application_credential": method}}
        token = alpha.client(None).post(f"{BASE}/auth/tokens", {"auth": auth}).headers["x-subject-token"]
        assert demand(alpha, token).status == status


def test_beta_takes_it_once(clouds):
    alpha, beta = clouds
    message = word_for_demo(alpha)
    answer = present(beta, message)
    assert answer.status == 303 and answer.headers["location"].endswith(AUTH)
    shown = fetch(beta, answer)
    assert shown.status == 201 and shown.json["token"]["user"]["name"] == "demo"
    assert shown.json["token"]["methods"] == ["saml2"]
    assert present(beta, message).status == 401, "a second time"
    forget_assertions(beta.cloud)
    assert present(beta, message).status == 401, "not forgotten while it could be used"


def test_the_cookie_is_short_and_for_its_own_way(clouds):
    alpha, beta = clouds
    with clock.frozen() as advance:
        answer = present(beta, word_for_demo(alpha))
        advance(61)
        assert fetch(beta, answer).status == 501
    beta._clients.clear()
    beta.put("identity_providers/alpha/protocols/other", protocol={"mapping_id": "alpha"})
    cookie = present(beta, word_for_demo(alpha)).headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    elsewhere = AUTH.replace("saml2/auth", "other/auth")
    assert beta.client(None).get(elsewhere, headers={"Cookie": cookie.split(";")[0]}).status == 501
    value = cookie.split(";")[0].partition("=")[2]
    assert beta.client(value).get(f"{BASE}/auth/projects").status == 401


def test_a_disabled_provider(clouds):
    alpha, beta = clouds
    message = word_for_demo(alpha)
    answer = present(beta, message)
    beta.admin.patch(f"{FED}/identity_providers/alpha", {"identity_provider": {"enabled": False}})
    assert fetch(beta, answer).status == 401
    assert present(beta, word_for_demo(alpha)).status == 403


def test_browsers_and_unknown_clouds_cannot_present_anything(clouds):
    alpha, beta = clouds
    message = word_for_demo(alpha)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/xml"):
        assert beta.client(None).post(ACS, message, headers={"Content-Type": kind}).status == 415
    assert present(beta, b"x" * 300_000).status == 413
    beta.put("identity_providers/other", identity_provider={"enabled": True})
    beta.put("identity_providers/other/protocols/saml2", protocol={"mapping_id": "alpha"})
    refused = beta.client(None).post(ACS.replace("/alpha/", "/other/"), message, headers=PAOS)
    assert refused.status == 501 and "[federation.saml.other]" in refused.text


def test_an_assertion_that_is_too_old(clouds):
    alpha, beta = clouds
    with clock.frozen() as advance:
        message = word_for_demo(alpha)
        advance(600 + 61)
        assert present(beta, message).status == 401


def changed(message, change):
    root = etree.fromstring(message)
    change(root, next(root.iter(tag(SAML, "Assertion"))))
    return etree.tostring(root)


def set_text(name, text):
    def change(_, assertion):
        next(assertion.iter(tag(SAML, name))).text = text

    return change


def test_any_change_breaks_the_signature(clouds):
    alpha, beta = clouds
    message = word_for_demo(alpha)
    confirmation = tag(SAML, "SubjectConfirmationData")
    changes = [
        set_text("NameID", "admin"),
        set_text("AttributeValue", "admin"),
        set_text("Issuer", "https://evil.example"),
        lambda _, assertion: next(assertion.iter(confirmation)).set("NotOnOrAfter", "2999-01-01T00:00:00Z"),
        lambda _, assertion: next(assertion.iter(confirmation)).set("Recipient", "x"),
        lambda _, assertion: assertion.set("ID", "_other"),
        lambda _, assertion: assertion.remove(assertion.find(tag(SIGNATURE, "Signature"))),
        lambda _, assertion: assertion.remove(assertion.find(tag(SAML, "Conditions"))),
    ]
    for number, change in enumerate(changes):
        assert present(beta, changed(message, change)).status == 401, number
    assert present(beta, message).status == 303, "the message itself is right"


def evil_twin(assertion):
    twin = deepcopy(assertion)
    twin.remove(twin.find(tag(SIGNATURE, "Signature")))
    next(twin.iter(tag(SAML, "NameID"))).text = "admin"
    next(twin.iter(tag(SAML, "AttributeValue"))).text = "admin"
    return twin


def wrap_beside(root, assertion):
    """The evil one first, the signed one after it."""
    twin = evil_twin(assertion)
    twin.set("ID", "_evil")
    assertion.getparent().insert(0, twin)


def wrap_same_id(root, assertion):
    assertion.getparent().insert(0, evil_twin(assertion))


def wrap_in_signature(root, assertion):
    """The signed one hides in an object of the signature that the evil one carries."""
    twin = evil_twin(assertion)
    twin.set("ID", "_evil")
    signature = deepcopy(assertion.find(tag(SIGNATURE, "Signature")))
    holder = etree.SubElement(signature, tag(SIGNATURE, "Object"))
    parent = assertion.getparent()
    parent.replace(assertion, twin)
    holder.append(assertion)
    twin.insert(1, signature)


def wrap_in_extensions(root, assertion):
    parent = assertion.getparent()
    twin = evil_twin(assertion)
    twin.set("ID", "_evil")
    parent.replace(assertion, twin)
    etree.SubElement(parent, tag(PROTOCOL, "Extensions")).append(assertion)
    twin.insert(1, deepcopy(assertion.find(tag(SIGNATURE, "Signature"))))


def wrap_inside(root, assertion):
    """The evil one around the signed one."""
    twin = evil_twin(assertion)
    twin.set("ID", "_evil")
    assertion.getparent().replace(assertion, twin)
    twin.append(assertion)


def move_signature_up(root, assertion):
    """The signature of the assertion stands for the whole response."""
    signature = assertion.find(tag(SIGNATURE, "Signature"))
    response = assertion.getparent()
    next(assertion.iter(tag(SAML, "NameID"))).text = "admin"
    response.insert(1, signature)


def two_responses(root, assertion):
    root.find(tag(SOAP, "Body")).append(deepcopy(assertion.getparent()))


@pytest.mark.parametrize(
    "wrap",
    [wrap_beside, wrap_same_id, wrap_in_signature, wrap_in_extensions, wrap_inside, move_signature_up, two_responses],
)
def test_signature_wrapping(clouds, wrap):
    alpha, beta = clouds
    assert present(beta, changed(word_for_demo(alpha), wrap)).status == 401
    assert beta.admin.get(f"{BASE}/users?idp_id=alpha").json["users"] == []


def test_a_comment_does_not_cut_a_value(clouds):
    alpha, beta = clouds
    alpha.make_user("admin.evil")
    role = alpha.role_id("member")
    user = alpha.admin.get(f"{BASE}/users?name=admin.evil").json["users"][0]
    demo = alpha.admin.get(f"{BASE}/projects?name=demo").json["projects"][0]
    alpha.admin.put(f"{BASE}/projects/{demo['id']}/users/{user['id']}/roles/{role}")
    message = demand(alpha, alpha.token("admin.evil", "secret", project("demo"))).content
    cut = message.replace(b">admin.evil<", b">admin<!-- -->.evil<")
    assert cut != message
    answer = present(beta, cut)
    assert answer.status == 303, "a comment is no change to the signature"
    assert fetch(beta, answer).json["token"]["user"]["name"] == "admin.evil"


def test_entities_and_bombs(clouds):
    alpha, beta = clouds
    message = word_for_demo(alpha).split(b"?>", 1)[1].lstrip()
    secret = alpha.directory / "secret"
    secret.write_text("root")
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + b"".join(
        b'<!ENTITY a%d "%s">' % (number, (b"&a%d;" % (number - 1) if number else b"&a;") * 10) for number in range(9)
    ) + b"]>"  # fmt: skip
    external = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file://%s">]>' % str(secret).encode()
    for prologue, entity in ((bomb, b"&a8;"), (external, b"&e;"), (b"<!DOCTYPE x>", b"demo")):
        evil = prologue + message.replace(b">demo<", b">" + entity + b"<", 1)
        assert present(beta, evil).status == 401
        assert present(beta, evil.decode().encode("utf-16")).status == 401
    for nonsense in (b"", b"<", b"<a/>", b"\0", b"<a>" * 100_00, "<a/>".encode("utf-16")):
        assert present(beta, nonsense).status == 401


def resigned(message, key, change=lambda assertion: None):
    """The message with an assertion that was changed and signed (again) by `key`."""
    root = etree.fromstring(message)
    assertion = next(root.iter(tag(SAML, "Assertion")))
    parent = assertion.getparent()
    signature = assertion.find(tag(SIGNATURE, "Signature"))
    place = assertion.index(signature)
    assertion.remove(signature)
    assertion.insert(place, etree.Element(tag(SIGNATURE, "Signature"), {"Id": "placeholder"}, nsmap={"ds": SIGNATURE}))
    change(assertion)
    parent.remove(assertion)
    signer = XMLSigner(c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0)
    signed = signer.sign(
        assertion, key=key.private, cert=key.certificate, reference_uri=assertion.get("ID"), id_attribute="ID"
    )
    parent.append(signed)
    return etree.tostring(root)


def test_another_key_even_with_its_certificate_inside(clouds, strangers_key):
    alpha, beta = clouds
    message = word_for_demo(alpha)
    assert present(beta, resigned(message, strangers_key)).status == 401
    own = load_signing_key(alpha.directory / "keys" / "saml")
    assert present(beta, resigned(message, own)).status == 303, "the test's own signing is right"


def test_a_signature_over_the_whole_response(clouds):
    alpha, beta = clouds
    own = load_signing_key(alpha.directory / "keys" / "saml")
    root = etree.fromstring(word_for_demo(alpha))
    assertion = next(root.iter(tag(SAML, "Assertion")))
    assertion.remove(assertion.find(tag(SIGNATURE, "Signature")))
    response = assertion.getparent()
    body = response.getparent()
    response.insert(1, etree.Element(tag(SIGNATURE, "Signature"), {"Id": "placeholder"}, nsmap={"ds": SIGNATURE}))
    body.remove(response)
    signer = XMLSigner(c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0)
    uri = response.get("ID")
    body.append(signer.sign(response, key=own.private, cert=own.certificate, reference_uri=uri, id_attribute="ID"))
    message = etree.tostring(root)
    assert present(beta, changed(message, set_text("NameID", "admin"))).status == 401
    assert present(beta, changed(message, wrap_twin_in_response)).status == 401
    assert present(beta, message).status == 303


def wrap_twin_in_response(root, assertion):
    twin = deepcopy(assertion)
    next(twin.iter(tag(SAML, "NameID"))).text = "admin"
    assertion.getparent().insert(1, twin)


def test_what_a_right_signature_does_not_make_right(clouds):
    alpha, beta = clouds
    message = word_for_demo(alpha)
    own = load_signing_key(alpha.directory / "keys" / "saml")
    confirmation = tag(SAML, "SubjectConfirmationData")

    def with_audience(assertion):
        restriction = etree.SubElement(assertion.find(tag(SAML, "Conditions")), tag(SAML, "AudienceRestriction"))
        etree.SubElement(restriction, tag(SAML, "Audience")).text = "urn:somebody-else"

    changes = [
        lambda assertion: assertion.find(tag(SAML, "Issuer")).__setattr__("text", "https://gamma.example"),
        lambda assertion: next(assertion.iter(confirmation)).set("Recipient", "http://gamma.example/acs"),
        lambda assertion: next(assertion.iter(confirmation)).attrib.pop("Recipient"),
        lambda assertion: next(assertion.iter(confirmation)).attrib.pop("NotOnOrAfter"),
        lambda assertion: next(assertion.iter(confirmation)).set("NotBefore", "2999-01-01T00:00:00Z"),
        lambda assertion: next(assertion.iter(confirmation)).set("InResponseTo", "_question"),
        lambda assertion: next(assertion.iter(tag(SAML, "SubjectConfirmation"))).set("Method", "urn:other"),
        lambda assertion: assertion.find(tag(SAML, "Conditions")).set("NotOnOrAfter", "2001-01-01T00:00:00Z"),
        lambda assertion: assertion.find(tag(SAML, "Conditions")).set("NotBefore", "tomorrow"),
        with_audience,
        lambda assertion: assertion.remove(assertion.find(tag(SAML, "Subject"))),
    ]
    for number, change in enumerate(changes):
        assert present(beta, resigned(message, own, change)).status == 401, number


def test_attributes_cannot_say_who_the_issuer_is(clouds):
    alpha, beta = clouds
    path = f"{FED}/identity_providers/alpha/protocols/saml2"
    beta.admin.patch(path, {"protocol": {"mapping_id": "alpha", "remote_id_attribute": "Shib-Identity-Provider"}})
    beta.admin.patch(f"{FED}/identity_providers/alpha", {"identity_provider": {"remote_ids": ["urn:other"]}})
    assert present(beta, word_for_demo(alpha)).status == 403
    own = load_signing_key(alpha.directory / "keys" / "saml")

    def claim(assertion):
        attribute = etree.SubElement(
            assertion.find(tag(SAML, "AttributeStatement")), tag(SAML, "Attribute"), {"Name": "Shib-Identity-Provider"}
        )
        etree.SubElement(attribute, tag(SAML, "AttributeValue")).text = "urn:other"

    assert present(beta, resigned(word_for_demo(alpha), own, claim)).status == 403
    beta.admin.patch(f"{FED}/identity_providers/alpha", {"identity_provider": {"remote_ids": [ALPHA]}})
    assert present(beta, word_for_demo(alpha)).status == 303
