# SPDX-License-Identifier: Apache-2.0
"""Another cloud's word for a user: is it signed by whom we trust, meant for us, and in time?

Nothing but what the signature covers is believed: the element that the verifier gives back, not the message around it.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.exceptions import InvalidInput, SignXMLException
from signxml.verifier import SignatureConfiguration, XMLVerifier

from altostratus.kernel import clock
from altostratus.services.identity.federation.login import REMOTE_USER
from altostratus.services.identity.federation.saml.names import BEARER, PROTOCOL, SAML, SIGNATURE, SOAP, SUCCESS, tag

LARGEST_MESSAGE_BYTES = 256 * 1024
_LEEWAY_S = 60
_METHODS = frozenset(
    getattr(SignatureMethod, f"{kind}_SHA{bits}") for kind in ("RSA", "ECDSA") for bits in (256, 384, 512)
)
_DIGESTS = frozenset((DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512))
# the signature is a child of the element that it covers, and covers that element only
_CONFIG = SignatureConfiguration(location="./", signature_methods=_METHODS, digest_algorithms=_DIGESTS)
# what operators of Apache's modules know the issuer by
_ISSUER_NAMES = ("Shib-Identity-Provider", "MELLON_IDP")


class WrongAssertionError(Exception):
    """The message is not what it should be; the text says why, for the log."""


@dataclass(frozen=True, slots=True)
class Believed:
    """`key` names the assertion among all; until `ends_at` it must not be taken again."""

    attributes: dict[str, list[str]]
    key: str
    ends_at: str


def believe(message: bytes, *, issuer: str, certificate: str, recipient: str, audience: str) -> Believed:
    """`certificate`: PEM of the issuer's. `recipient`: our address for such messages. Raises WrongAssertionError."""
    assertion = _signed_assertion(_response(_parsed(message)), certificate)
    if _text(assertion, "Issuer") != issuer:
        raise WrongAssertionError("it is of another issuer")
    ends_at = _demand_in_time(assertion, recipient, audience)
    name_id = assertion.find(f"{tag(SAML, 'Subject')}/{tag(SAML, 'NameID')}")
    if name_id is None or not (name_id.text or "").strip():
        raise WrongAssertionError("it names no user")
    attributes = _attributes(assertion) | {name: [issuer] for name in _ISSUER_NAMES}
    attributes[REMOTE_USER] = [(name_id.text or "").strip()]
    key = hashlib.sha256(f"{issuer}\0{assertion.get('ID')}".encode()).hexdigest()
    return Believed(attributes, key, ends_at)


def _parsed(message: bytes) -> etree._Element:
    if len(message) > LARGEST_MESSAGE_BYTES or b"<!" in message.replace(b"<!--", b""):
        raise WrongAssertionError("it is too large, or has a document type")
    # comments could cut a value in two, and no signature covers them
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, encoding="utf-8"
    )
    try:
        root = etree.fromstring(message, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise WrongAssertionError("it is no XML") from None
    if root.getroottree().docinfo.doctype:
        raise WrongAssertionError("it has a document type")
    return root


def _response(root: etree._Element) -> etree._Element:
    found = (
        root.findall(f"{tag(SOAP, 'Body')}/{tag(PROTOCOL, 'Response')}")
        if root.tag == tag(SOAP, "Envelope")
        else [root]
    )
    if len(found) != 1 or found[0].tag != tag(PROTOCOL, "Response"):
        raise WrongAssertionError("it is no SAML response")
    status = found[0].find(f"{tag(PROTOCOL, 'Status')}/{tag(PROTOCOL, 'StatusCode')}")
    if status is None or status.get("Value") != SUCCESS or found[0].get("InResponseTo"):
        raise WrongAssertionError("it is no success, or answers a question that nobody asked")
    return found[0]


def _signed_assertion(response: etree._Element, certificate: str) -> etree._Element:
    """The one assertion, as the signature covers it: by its own signature, or by the whole response's."""
    if len(list(response.iter(tag(SAML, "Assertion")))) != 1:
        raise WrongAssertionError("there must be exactly one assertion")
    assertion = response.find(tag(SAML, "Assertion"))
    if assertion is None:
        raise WrongAssertionError("the assertion is not where it belongs")
    whole = assertion if assertion.find(tag(SIGNATURE, "Signature")) is not None else response
    signed = _verified(whole, certificate)
    if signed.tag != whole.tag or not whole.get("ID") or signed.get("ID") != whole.get("ID"):
        raise WrongAssertionError("the signature is for something else")
    found = signed if whole is assertion else signed.find(tag(SAML, "Assertion"))
    if found is None:
        raise WrongAssertionError("the signature does not cover the assertion")
    return found


def _verified(element: etree._Element, certificate: str) -> etree._Element:
    try:
        result: Any = XMLVerifier().verify(
            etree.tostring(element, with_tail=False), x509_cert=certificate, id_attribute="ID", expect_config=_CONFIG
        )
    except (SignXMLException, InvalidInput, ValueError, TypeError, etree.LxmlError) as error:
        raise WrongAssertionError(f"its signature is not right: {type(error).__name__}") from None
    if result.signed_xml is None:
        raise WrongAssertionError("its signature covers no XML")
    signed: etree._Element = result.signed_xml
    return signed


def _demand_in_time(assertion: etree._Element, recipient: str, audience: str) -> str:
    """When the assertion ends. Raises WrongAssertionError."""
    now = clock.now()
    ends = []
    for one in assertion.findall(f"{tag(SAML, 'Subject')}/{tag(SAML, 'SubjectConfirmation')}"):
        data = one.find(tag(SAML, "SubjectConfirmationData"))
        if (
            one.get("Method") != BEARER
            or data is None
            or data.get("Recipient") != recipient
            or data.get("InResponseTo")
        ):
            continue
        end = _moment(data.get("NotOnOrAfter"))
        if end is not None and clock.plus(end, _LEEWAY_S) > now and _has_begun(data, now):
            ends.append(end)
    if not ends:
        raise WrongAssertionError("it is not for us, or not any more")
    conditions = assertion.find(tag(SAML, "Conditions"))
    if conditions is not None:
        end = _moment(conditions.get("NotOnOrAfter"))
        if not _has_begun(conditions, now) or (end is not None and clock.plus(end, _LEEWAY_S) <= now):
            raise WrongAssertionError("it is not valid yet, or not any more")
        for restriction in conditions.findall(tag(SAML, "AudienceRestriction")):
            if not {(one.text or "").strip() for one in restriction.findall(tag(SAML, "Audience"))} & {
                audience,
                recipient,
            }:
                raise WrongAssertionError("it is for another audience")
    return clock.plus(max(ends), _LEEWAY_S)


def _has_begun(element: etree._Element, now: str) -> bool:
    begin = element.get("NotBefore")
    if begin is None:
        return True
    moment = _moment(begin)
    return moment is not None and clock.plus(moment, -_LEEWAY_S) <= now


def _moment(text: str | None) -> str | None:
    try:
        return clock.to_timestamp(clock.parse(text)) if text else None
    except ValueError:
        raise WrongAssertionError("it has a time that is none") from None


def _attributes(assertion: etree._Element) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for attribute in assertion.findall(f"{tag(SAML, 'AttributeStatement')}/{tag(SAML, 'Attribute')}"):
        values = [value.text or "" for value in attribute.findall(tag(SAML, "AttributeValue")) if len(value) == 0]
        found.setdefault(attribute.get("Name") or "", []).extend(values)
    return found


def _text(element: etree._Element, name: str) -> str:
    found = element.findall(tag(SAML, name))
    return (found[0].text or "").strip() if len(found) == 1 else ""
