# SPDX-License-Identifier: Apache-2.0
"""Our word for a user, signed: plain, and wrapped for ECP; and what others must know to believe it."""

from dataclasses import dataclass

from lxml import etree
from signxml.algorithms import CanonicalizationMethod
from signxml.signer import XMLSigner

from altostratus.kernel import clock, ids
from altostratus.services.identity.federation.saml.keys import SigningKey
from altostratus.services.identity.federation.saml.names import (
    BEARER,
    ECP,
    ENTITY_FORMAT,
    METADATA,
    NEXT_ACTOR,
    PASSWORD_CLASS,
    PROTOCOL,
    REDIRECT_BINDING,
    SAML,
    SIGNATURE,
    SOAP,
    SUCCESS,
    tag,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """Who (`name_id`, attributes) is vouched for by `issuer`, towards the one that `recipient` (an address) names."""

    issuer: str
    recipient: str
    name_id: str
    attributes: dict[str, list[str]]
    lifetime_s: int


def response(statement: Statement, key: SigningKey) -> etree._Element:
    """A SAML response with one signed assertion."""
    now = clock.iso_z(clock.now())
    root = etree.Element(
        tag(PROTOCOL, "Response"),
        {"ID": _new_id(), "Version": "2.0", "IssueInstant": now or "", "Destination": statement.recipient},
        nsmap={"samlp": PROTOCOL, "saml": SAML},
    )
    _issuer(root, statement.issuer)
    status = etree.SubElement(root, tag(PROTOCOL, "Status"))
    etree.SubElement(status, tag(PROTOCOL, "StatusCode"), {"Value": SUCCESS})
    root.append(_signed(_assertion(statement), key))
    return root


def enveloped(answer: etree._Element, relay_state: str) -> etree._Element:
    """The response as a client hands it to the service provider (ECP, SAML profiles 4.2)."""
    envelope = etree.Element(tag(SOAP, "Envelope"), nsmap={"soap": SOAP, "ecp": ECP})
    header = etree.SubElement(envelope, tag(SOAP, "Header"))
    state = {tag(SOAP, "actor"): NEXT_ACTOR, tag(SOAP, "mustUnderstand"): "1"}
    etree.SubElement(header, tag(ECP, "RelayState"), state).text = relay_state
    etree.SubElement(envelope, tag(SOAP, "Body")).append(answer)
    return envelope


def metadata(entity_id: str, sso_url: str, key: SigningKey) -> bytes:
    root = etree.Element(tag(METADATA, "EntityDescriptor"), {"entityID": entity_id}, nsmap={"md": METADATA})
    role = etree.SubElement(root, tag(METADATA, "IDPSSODescriptor"), {"protocolSupportEnumeration": PROTOCOL})
    use = etree.SubElement(role, tag(METADATA, "KeyDescriptor"), {"use": "signing"})
    info = etree.SubElement(use, tag(SIGNATURE, "KeyInfo"), nsmap={"ds": SIGNATURE})
    data = etree.SubElement(info, tag(SIGNATURE, "X509Data"))
    etree.SubElement(data, tag(SIGNATURE, "X509Certificate")).text = "".join(key.certificate.split("\n")[1:-2])
    service = {"Binding": REDIRECT_BINDING, "Location": sso_url}
    etree.SubElement(role, tag(METADATA, "SingleSignOnService"), service)
    return to_bytes(root)


def to_bytes(element: etree._Element) -> bytes:
    text: bytes = etree.tostring(element, xml_declaration=True, encoding="UTF-8")
    return text


def _assertion(statement: Statement) -> etree._Element:
    now = clock.now()
    began, ends = clock.iso_z(now) or "", clock.iso_z(clock.plus(now, statement.lifetime_s)) or ""
    root = etree.Element(
        tag(SAML, "Assertion"), {"ID": _new_id(), "Version": "2.0", "IssueInstant": began}, nsmap={"saml": SAML}
    )
    _issuer(root, statement.issuer)
    etree.SubElement(root, tag(SIGNATURE, "Signature"), {"Id": "placeholder"}, nsmap={"ds": SIGNATURE})
    subject = etree.SubElement(root, tag(SAML, "Subject"))
    etree.SubElement(subject, tag(SAML, "NameID")).text = statement.name_id
    confirmation = etree.SubElement(subject, tag(SAML, "SubjectConfirmation"), {"Method": BEARER})
    bounds = {"NotOnOrAfter": ends, "Recipient": statement.recipient}
    etree.SubElement(confirmation, tag(SAML, "SubjectConfirmationData"), bounds)
    etree.SubElement(root, tag(SAML, "Conditions"), {"NotOnOrAfter": ends})
    session = {"AuthnInstant": began, "SessionIndex": ids.new_hex_id(), "SessionNotOnOrAfter": ends}
    authn = etree.SubElement(root, tag(SAML, "AuthnStatement"), session)
    context = etree.SubElement(authn, tag(SAML, "AuthnContext"))
    etree.SubElement(context, tag(SAML, "AuthnContextClassRef")).text = PASSWORD_CLASS
    etree.SubElement(context, tag(SAML, "AuthenticatingAuthority")).text = statement.issuer
    facts = etree.SubElement(root, tag(SAML, "AttributeStatement"))
    for name, values in statement.attributes.items():
        attribute = etree.SubElement(facts, tag(SAML, "Attribute"), {"Name": name})
        for value in values:
            etree.SubElement(attribute, tag(SAML, "AttributeValue")).text = value
    return root


def _issuer(parent: etree._Element, name: str) -> None:
    etree.SubElement(parent, tag(SAML, "Issuer"), {"Format": ENTITY_FORMAT}).text = name


def _signed(assertion: etree._Element, key: SigningKey) -> etree._Element:
    signer = XMLSigner(c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0)
    return signer.sign(
        assertion, key=key.private, cert=key.certificate, reference_uri=assertion.get("ID"), id_attribute="ID"
    )


def _new_id() -> str:
    return f"_{ids.new_hex_id()}"
