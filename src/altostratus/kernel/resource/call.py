# SPDX-License-Identifier: Apache-2.0
"""`Call`: one request on its way through an operation. Handlers get nothing else."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from sqlalchemy import select

from altostratus.kernel import log
from altostratus.kernel.access_rules import Asked
from altostratus.kernel.auth import Context
from altostratus.kernel.config import Section
from altostratus.kernel.db import Row, Tx, table_of
from altostratus.kernel.errors import NotFound
from altostratus.kernel.resource import lists, view
from altostratus.kernel.resource.declaration import Resource
from altostratus.kernel.resource.operations import Op
from altostratus.kernel.resource.versions import Version

if TYPE_CHECKING:
    from altostratus.kernel.cloud import Cloud
    from altostratus.kernel.resource.service import Service

S = TypeVar("S", bound=Section)
P = TypeVar("P")


class Call:
    """What a handler may use.

    asked     the request as access rules look at it
    cloud     settings, drivers, jobs, database (`call.cloud[ComputeOptions]`, `call.cloud.part(ImageStores)`)
    ctx       who asks
    tx        the open transaction (ops with `tx="none"` open their own: `call.cloud.db.write()`)
    params    values of the names in the path
    query     query parameters, a list of texts each
    version   negotiated microversion, or None
    body      parsed and validated values by field name (create, update), or the action's value, or the JSON
    extra     unknown members (`unknown="keep"`)
    row       the row that `{id}` names, already checked to be visible
    stream    the request body as bytes (ops with `stream="in"`)
    headers   request headers with upper-case names
    ends_with_slash  does the path as it came? (`path` itself never does)
    peer      the address that the request came from; empty if it came by no network
    """

    __slots__ = (
        "_may",
        "asked",
        "body",
        "cloud",
        "ctx",
        "ends_with_slash",
        "extra",
        "headers",
        "host_url",
        "op",
        "params",
        "path",
        "peer",
        "query",
        "raw",
        "reply_headers",
        "request_id",
        "resource",
        "row",
        "service",
        "stream",
        "tx",
        "version",
    )  # fmt: skip

    def __init__(self, cloud: "Cloud", service: "Service", op: Op) -> None:
        self.cloud, self.service, self.op = cloud, service, op
        self.resource: type[Resource] = op.resource
        self.asked: Asked
        self.ctx: Context
        self.tx: Tx
        self.params: dict[str, str] = {}
        self.query: dict[str, list[str]] = {}
        self.headers: Mapping[str, str] = {}
        self.version: Version | None = None
        self.body: Any = None
        self.raw: Any = None
        self.extra: dict[str, Any] = {}
        self.row: Any = None
        self.stream: Any = None
        self.host_url = ""
        self.path = ""
        self.ends_with_slash = False
        self.peer = ""
        self.request_id = ""
        self.reply_headers: dict[str, str] = {}
        self._may: dict[str, bool] = {}

    # who may

    def authenticate(self, token: str) -> Context:
        """Whose token it is. Raises Unauthorized if it is void, or its access rules do not allow this request."""
        ctx = self.cloud.authenticator.authenticate(token)
        if ctx.access_rules is not None and not self.op.beyond_access_rules:
            ctx.access_rules.demand(self.asked)
        return ctx

    def may(self, rule: str, target: Mapping[str, Any] | None = None) -> bool:
        """Does the policy allow `rule`? Without a target: for the caller's own project (remembered)."""
        policy = self.cloud.policy(self.service.type)
        if target is not None:
            return policy.allows(rule, self.ctx, target)
        known = self._may.get(rule)
        if known is None:
            known = self._may[rule] = policy.allows(rule, self.ctx, self.own_target())
        return known

    def demand(self, rule: str, target: Mapping[str, Any] | None = None) -> None:
        """Raises Forbidden unless the policy allows `rule`."""
        self.cloud.policy(self.service.type).demand(rule, self.ctx, self.own_target() if target is None else target)

    def own_target(self) -> dict[str, Any]:
        target: dict[str, Any] = {"user_id": self.ctx.user_id}
        if self.ctx.project_id is not None:
            target |= {"project_id": self.ctx.project_id, "tenant_id": self.ctx.project_id}
        if self.ctx.domain_id is not None:
            target["domain_id"] = self.ctx.domain_id
        return target

    def wants_all_projects(self) -> bool:
        for name in ("all_tenants", "all_projects"):
            if name in self.query:
                return self.query[name][-1].lower() not in ("0", "false", "f", "no", "off", "n")
        return False

    # rows

    def scoped(self, statement: Any, *, listing: bool) -> Any:
        scope = self.resource.scope or lists.own_project
        return scope(self, statement, listing)

    def find_visible(self, key: str) -> Row[Any] | None:
        """The resource's row with this key if the caller can see it."""
        if self.resource.row is None:
            return None
        table = table_of(self.resource.row)
        return self.tx.first(self.scoped(select(table).where(table.c[self.resource.key] == key), listing=False))

    def get_visible(self, key: str) -> Row[Any]:
        row = self.find_visible(key)
        if row is None:
            what = self.resource.what
            kind = "".join(part.capitalize() for part in what.split()) + "NotFound"
            raise NotFound(f"{what[:1].upper()}{what[1:]} {key} could not be found.", kind=kind)
        return row

    def reload(self) -> Row[Any]:
        """The row of `{id}` as it is now, after changes."""
        return self.get_visible(self.row._mapping[self.resource.key])

    def list_rows(self, statement: Any = None) -> lists.Page:
        """One page of the resource's rows; `statement` replaces the plain select (filters still apply)."""
        if self.resource.row is None:
            raise TypeError(f"{self.resource.__name__} has no model")
        chosen: Any = statement if statement is not None else select(table_of(self.resource.row))
        style = self.service.style
        conditions = lists.filter_conditions(self.resource, self.query, style)
        chosen = self.scoped(chosen, listing=True)
        return lists.fetch_page(self, self.resource, chosen.where(*conditions) if conditions else chosen, style)

    # replies

    def render(self, rows: list[Any], *, only: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        return view.render(self, self.resource, rows, only=only)

    def render_as(self, resource: type[Resource], rows: list[Any]) -> list[dict[str, Any]]:
        """The view of another resource of the same service."""
        return view.render(self, resource, rows)

    # where

    def url(self) -> str:
        pairs = [(name, value) for name, values in self.query.items() for value in values]
        return self.url_without_query() + ("?" + urlencode(pairs) if pairs else "")

    def url_without_query(self) -> str:
        return self.host_url + self.path

    def service_url(self, path: str = "") -> str:
        """Absolute URL of `path` below this service's version root."""
        return self.host_url + self.service.path + path

    @property
    def logger(self) -> Any:
        return log.get(self.service.type)
