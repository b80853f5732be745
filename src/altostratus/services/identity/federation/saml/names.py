# SPDX-License-Identifier: Apache-2.0
"""Names that SAML 2 gives to things."""

SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
PROTOCOL = "urn:oasis:names:tc:SAML:2.0:protocol"
METADATA = "urn:oasis:names:tc:SAML:2.0:metadata"
SIGNATURE = "http://www.w3.org/2000/09/xmldsig#"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
ECP = "urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp"
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
ENTITY_FORMAT = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity"
PASSWORD_CLASS = "urn:oasis:names:tc:SAML:2.0:ac:classes:Password"
REDIRECT_BINDING = "urn:oasis:names:tc:SAML:2.0:bindings:URI"
NEXT_ACTOR = "http://schemas.xmlsoap.org/soap/actor/next"
PAOS_TYPE = "application/vnd.paos+xml"


def tag(namespace: str, name: str) -> str:
    return f"{{{namespace}}}{name}"
