# SPDX-License-Identifier: Apache-2.0
"""Objects that come into being by one request: uploads and copies."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from altostratus.kernel.db import Row, Tx
from altostratus.kernel.errors import PreconditionFailed
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api import receiving, symlinks
from altostratus.services.object_store.api.conditions import demand_conditions
from altostratus.services.object_store.api.readers import lasting_bytes_of
from altostratus.services.object_store.api.uploading import commit
from altostratus.services.object_store.api.visits import Place, store_of
from altostratus.services.object_store.config import ObjectStoreOptions
from altostratus.services.object_store.errors import refused
from altostratus.services.object_store.logic import access, metadata, objects, permission, quotas, versioning
from altostratus.services.object_store.logic.bucket_policies import Wish
from altostratus.services.object_store.logic.contents import DYNAMIC, Contents, contents_of
from altostratus.services.object_store.logic.times import now_us
from altostratus.services.object_store.s3 import acls, lifecycle, versions
from altostratus.services.object_store.s3.bodies import Body, Checked, Summed, shown_in
from altostratus.services.object_store.s3.errors import S3Error
from altostratus.services.object_store.s3.listings import etag_of
from altostratus.services.object_store.s3.names import demand_bucket_name, project_and_bucket
from altostratus.services.object_store.s3.shapes import checksum_members, iso_z, quoted, s3_column, tags_of_header
from altostratus.services.object_store.s3.visits import (
    Visit,
    container_for,
    demand_plain,
    no_such_key,
    visit_of,
)
from altostratus.services.object_store.s3.xml import document

META = "X-AMZ-META-"
_MOST_META = 2048
_CONDITIONS = ("IF-MATCH", "IF-NONE-MATCH", "IF-MODIFIED-SINCE", "IF-UNMODIFIED-SINCE")


class Kept(NamedTuple):
    """Bytes that are in the store, pending."""

    blob_id: str | None
    size: int
    md5: str
    checksums: dict[str, str]


class Found(NamedTuple):
    """An object or a version of one, and where it is."""

    row: Row[Any]
    contents: Contents
    container: Row[Any]


class Source(NamedTuple):
    """What is copied."""

    row: Row[Any]
    contents: Contents
    account: str


def put_object(call: Call) -> Reply:
    visit = visit_of(call)
    container = container_for(call, visit, "write")
    described, tags = described_by(call, container), tags_of_header(call.headers)
    body = Body(call, visit.signed)
    quotas.demand_early(call.cloud.db, container, body.size)
    demand = replaceable(call, container, visit.key)
    with call.cloud.db.read() as tx:
        demand(tx)  # before the bytes come; and again when they are there
    kept = keep(call, container.policy, body)
    values = {**described, "s3": s3_column(tags, kept.checksums)}
    finish(call, container, visit.key, kept, values, demand)
    return Reply(200, headers={"ETag": quoted(kept.md5), **shown_in(kept.checksums)})


def keep(call: Call, policy: int, body: Checked) -> Kept:
    """The body, checked. Nothing is left of one that is not right."""
    blob_id, size, md5 = receiving.receive(call, policy, body, body.size)
    try:
        return Kept(blob_id, size, md5, body.finish(md5))
    except BaseException:
        if blob_id is not None:
            store_of(call).delete(blob_id)
        raise


def finish(
    call: Call, container: Row[Any], key: str, kept: Kept, described: Mapping[str, Any], demand: Callable[[Tx], None]
) -> int:
    """Make the object of bytes that are kept, and tell its version; returns the moment."""
    moment = now_us()
    values = {"name": key, "size": kept.size, "etag": kept.md5, "blob_id": kept.blob_id, "modified_us": moment}
    with receiving.given_back(call, kept.blob_id):
        version_id = commit(call, container, {**described, **values}, demand)
    if version_id is not None:
        call.reply_headers[versions.VERSION_ID] = version_id
    call.reply_headers |= lifecycle.told_expiry_of_new(call, container, key)
    return moment


def described_by(call: Call, container: Row[Any]) -> dict[str, Any]:
    """Columns of what the request says about an object: its type, metadata and headers to give back."""
    demand_plain(call)
    acls.demand_as_bucket(call, container)
    meta = {name[len(META) :].lower(): value for name, value in call.headers.items() if name.startswith(META)}
    if sum(len(name) + len(value) for name, value in meta.items()) > _MOST_META:
        raise S3Error("MetadataTooLarge", f"Your metadata headers exceed the most of {_MOST_META} bytes.")
    options = call.cloud[ObjectStoreOptions]
    if len(meta) > options.max_meta_count or any(len(name) > options.max_meta_name_length for name in meta):
        metadata.demand_limits(options, meta)
    kept = (name for name in receiving.KEPT_HEADERS if name != DYNAMIC and name.upper() in call.headers)
    headers = {name: call.headers[name.upper()] for name in kept}
    if "content-encoding" in headers:
        inner = [part.strip() for part in headers["content-encoding"].split(",")]
        if "aws-chunked" in inner:
            headers["content-encoding"] = ", ".join(part for part in inner if part and part != "aws-chunked")
    return {
        "content_type": call.headers.get("CONTENT-TYPE") or "binary/octet-stream",
        "meta": meta,
        "headers": {name: value for name, value in headers.items() if value},
        "expires_at": None,
    }


def replaceable(call: Call, container: Row[Any], key: str) -> Callable[[Tx], None]:
    """`If-None-Match: *` and `If-Match` of an upload, asked in the transaction that writes."""
    unless, only = call.headers.get("IF-NONE-MATCH"), call.headers.get("IF-MATCH")
    if unless is not None and unless.strip() != "*":
        raise S3Error("NotImplemented", "If-None-Match of an upload can only be *.")

    def demand(tx: Tx) -> None:
        if unless is None and only is None:
            return
        row = objects.find(tx, container.id, key)
        if unless is not None and row is not None:
            raise PreconditionFailed("If-None-Match: there is an object of this key.")
        if only is not None:
            if row is None:
                raise no_such_key(key)
            demand_conditions({"IF-MATCH": only}, etag_of(row), row.modified_us)

    return demand


# copies


def copy_object(call: Call) -> Reply:
    visit = visit_of(call)
    container = container_for(call, visit, "write")
    source = source_of(call, visit)
    described, tags = described_by(call, container), tags_of_header(call.headers)
    if not _replaces(call, "METADATA"):
        itself = (source.row.container_id, source.row.name) == (container.id, visit.key)
        if itself and not versioning.is_version(source.row):
            raise S3Error(
                "InvalidRequest", "An object is copied onto itself only with x-amz-metadata-directive: REPLACE."
            )
        kept_headers = {name: value for name, value in source.row.headers.items() if name != DYNAMIC}
        described |= {"meta": source.row.meta, "headers": kept_headers, "content_type": source.row.content_type}
    said = source.row.s3 or {}
    if not _replaces(call, "TAGGING"):
        tags = said.get("tags", {})
    wanted = call.headers.get("X-AMZ-CHECKSUM-ALGORITHM", "").lower()
    algorithms = [wanted] if wanted else [*said.get("checksums", {})]
    kept = copy_bytes(call, container.policy, source, (0, source.contents.size), algorithms)
    values = {**described, "s3": s3_column(tags, kept.checksums)}
    moment = finish(call, container, visit.key, kept, values, replaceable(call, container, visit.key))
    body = [("LastModified", iso_z(moment)), ("ETag", quoted(kept.md5)), *checksum_members(kept.checksums)]
    return Reply(200, document("CopyObjectResult", body))


def source_of(call: Call, visit: Visit) -> Source:
    """What `x-amz-copy-source` names, if the caller may read it and its conditions hold."""
    given, _, version = call.headers["X-AMZ-COPY-SOURCE"].partition("?versionId=")
    text = unquote(given.encode("latin-1", "replace").decode("utf-8", "replace"))
    named, slash, key = text.removeprefix("/").partition("/")
    if not (slash and key):
        raise S3Error("InvalidArgument", "Copy source must be BUCKET/KEY.")
    project_id, bucket = project_and_bucket(named)
    demand_bucket_name(bucket)
    account = access.account_of(project_id) if project_id else visit.account
    if not project_id and visit.visitor.ctx is not None:
        account = access.account_of(visit.visitor.ctx.project_id or "")
    expected = call.headers.get("X-AMZ-SOURCE-EXPECTED-BUCKET-OWNER", "")
    if expected and account != access.account_of(expected):
        raise S3Error("AccessDenied", "Access Denied. The source bucket's owner is not the expected one.")
    origin = Visit(visit.signed, visit.visitor, account, bucket, key, version)
    row, contents, container = found(call, origin)
    for version_id in versions.told(container, row).values():
        call.reply_headers[versions.SOURCE_VERSION_ID] = version_id
    wanted = {
        name: call.headers[f"X-AMZ-COPY-SOURCE-{name}"]
        for name in _CONDITIONS
        if f"X-AMZ-COPY-SOURCE-{name}" in call.headers
    }
    if not demand_conditions(wanted, etag_of(row), contents.modified_us):
        raise PreconditionFailed("x-amz-copy-source-if-...: the source is what the client has already.")
    return Source(row, contents, account)


def found(call: Call, visit: Visit) -> Found:
    """An object or a version that the caller may read; Swift's links are followed. Raises S3Error."""

    def read(at: Place) -> symlinks.Found:
        origin = Visit(visit.signed, visit.visitor, at.account, at.container, at.name, at.version)
        container = container_for(call, origin, "read")
        with call.cloud.db.read() as tx:
            return symlinks.Found(at, container, versions.at(tx, container, origin))

    end = symlinks.followed(Place(visit.account, visit.bucket, visit.key, visit.version), read)
    account = end.place.account

    def guard(other: Row[Any]) -> None:
        if not permission.may(visit.visitor, account, other, "read", Wish("GetObject", None)):
            raise refused(visit.signed is not None, account)

    with call.cloud.db.read() as tx:
        return Found(end.row, contents_of(tx, account, end.row, guard), end.container)


def copy_bytes(call: Call, policy: int, source: Source, span: tuple[int, int], algorithms: Collection[str]) -> Kept:
    """span: offset, length. `algorithms` of checksums that are wanted."""
    offset, length = span
    summed = Summed(receiving.Pieces(lasting_bytes_of(call, source.contents.spans, offset, length)), algorithms)
    return Kept(*receiving.receive(call, policy, summed, length), summed.checksums)


def _replaces(call: Call, what: str) -> bool:
    directive = call.headers.get(f"X-AMZ-{what}-DIRECTIVE", "COPY")
    if directive not in ("COPY", "REPLACE"):
        raise S3Error("InvalidArgument", f"x-amz-{what.lower()}-directive is COPY or REPLACE.")
    return directive == "REPLACE"
