# SPDX-License-Identifier: Apache-2.0
"""What the owner of a bucket sets: its policy, rules for scripts of other sites (CORS), tags. Nobody else sees it."""

from typing import Any
from xml.etree.ElementTree import Element

from altostratus.kernel.db import Row
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.logic import bucket_policies, containers
from altostratus.services.object_store.s3 import cors
from altostratus.services.object_store.s3.bodies import read_small, read_xml
from altostratus.services.object_store.s3.errors import S3Error
from altostratus.services.object_store.s3.shapes import checked_tags, tag_members, tags_in, whole_number
from altostratus.services.object_store.s3.visits import Handler, Visit, demand_owner, no_such_bucket, visit_of
from altostratus.services.object_store.s3.xml import Member, children, document, text_of

_MOST_RULES, _MOST_TAGS = 100, 50


def _visit(call: Call) -> Visit:
    visit = visit_of(call)
    demand_owner(visit)
    return visit


def _set(call: Call, visit: Visit, **said: Any) -> None:
    with call.cloud.db.write() as tx:
        row = containers.find(tx, visit.account, visit.bucket)
        if row is None:
            raise no_such_bucket(visit.bucket)
        containers.set_s3(tx, row, **said)


def _told(call: Call, name: str, code: str, what: str) -> tuple[Visit, Any]:
    """What is set under this name. Raises S3Error with the code if nothing is."""
    visit = _visit(call)
    with call.cloud.db.read() as tx:
        row: Row[Any] | None = containers.find(tx, visit.account, visit.bucket)
    if row is None:
        raise no_such_bucket(visit.bucket)
    if not (row.s3 or {}).get(name):
        raise S3Error(code, f"The bucket has no {what}.")
    return visit, row.s3[name]


def removal(name: str) -> Handler:
    """Taking away what is not there is fine."""

    def remove(call: Call) -> Reply:
        _set(call, _visit(call), **{name: None})
        return Reply(204)

    return remove


# policy


def put_policy(call: Call) -> Reply:
    visit = _visit(call)
    text = read_small(call, visit.signed).decode("utf-8", "replace")
    bucket_policies.parsed(text, visit.bucket)
    _set(call, visit, policy=text)
    return Reply(204)


def show_policy(call: Call) -> Reply:
    _, text = _told(call, "policy", "NoSuchBucketPolicy", "policy")
    return Reply(200, text.encode(), content_type="application/json")


def show_policy_status(call: Call) -> Reply:
    visit, text = _told(call, "policy", "NoSuchBucketPolicy", "policy")
    return Reply(200, document("PolicyStatus", [("IsPublic", bucket_policies.is_public(text, visit.bucket))]))


# scripts of other sites


def put_cors(call: Call) -> Reply:
    visit = _visit(call)
    rules = [_rule(rule) for rule in children(read_xml(call, visit.signed, "CORSConfiguration"), "CORSRule")]
    if not 0 < len(rules) <= _MOST_RULES:
        raise S3Error("MalformedXML", f"A bucket has 1 to {_MOST_RULES} rules, not {len(rules)}.")
    _set(call, visit, cors=rules)
    return Reply(200)


def _rule(given: Element) -> dict[str, Any]:
    def texts(name: str) -> list[str]:
        return [(child.text or "").strip() for child in children(given, name)]

    rule: dict[str, Any] = {"origins": texts("AllowedOrigin"), "methods": texts("AllowedMethod")}
    rule |= {"headers": texts("AllowedHeader"), "exposed": texts("ExposeHeader")}
    if not (rule["origins"] and rule["methods"]):
        raise S3Error("MalformedXML", "Every CORSRule has an AllowedOrigin and an AllowedMethod.")
    unknown = sorted(set(rule["methods"]) - set(cors.METHODS))
    if unknown:
        raise S3Error("InvalidRequest", f"Found unsupported HTTP method in CORS config: {unknown[0][:40]}.")
    wild = next((text for text in (*rule["origins"], *rule["headers"]) if text.count("*") > 1), None)
    if wild is not None:
        raise S3Error("InvalidRequest", f"{wild[:100]!r} can not have more than one wildcard.")
    if given.find("MaxAgeSeconds") is not None:
        rule["max_age"] = whole_number("MaxAgeSeconds", text_of(given, "MaxAgeSeconds").strip())
    if given.find("ID") is not None:
        rule["id"] = text_of(given, "ID")
    return rule


def show_cors(call: Call) -> Reply:
    _, rules = _told(call, "cors", "NoSuchCORSConfiguration", "CORS configuration")
    return Reply(200, document("CORSConfiguration", [("CORSRule", _rule_shown(rule)) for rule in rules]))


def _rule_shown(rule: cors.Rule) -> list[Member]:
    return [
        ("ID", rule.get("id")),
        *(("AllowedMethod", text) for text in rule["methods"]),
        *(("AllowedOrigin", text) for text in rule["origins"]),
        *(("AllowedHeader", text) for text in rule["headers"]),
        *(("ExposeHeader", text) for text in rule["exposed"]),
        ("MaxAgeSeconds", rule.get("max_age")),
    ]


# tags


def put_tags(call: Call) -> Reply:
    visit = _visit(call)
    pairs = tags_in(read_xml(call, visit.signed, "Tagging"))
    _set(call, visit, tags=checked_tags(pairs, most=_MOST_TAGS) or None)
    return Reply(204)


def show_tags(call: Call) -> Reply:
    _, tags = _told(call, "tags", "NoSuchTagSet", "tags")
    return Reply(200, document("Tagging", tag_members(tags)))
