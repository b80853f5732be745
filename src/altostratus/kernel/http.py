# SPDX-License-Identifier: Apache-2.0
"""The HTTP edge: one Falcon application for all services, and the way of a request through it.

request id -> version -> token -> operation -> body and query against their schemas -> transaction ->
row -> policy -> handler -> view. Errors become the service's own envelope; no stack trace leaves.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import falcon
import msgspec
from sqlalchemy.exc import IntegrityError

from altostratus.kernel import ids, log
from altostratus.kernel.access_rules import Asked, without_slash
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.errors import (
    ApiError,
    BadRequest,
    Conflict,
    MethodNotAllowed,
    NotFound,
    TooLarge,
    Unauthorized,
)
from altostratus.kernel.resource import validate
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Action, Op, Reply
from altostratus.kernel.resource.service import Service
from altostratus.kernel.resource.standard import handler_of, page_reply
from altostratus.kernel.resource.versions import Version

_log = log.get("http")
_encode = msgspec.json.Encoder(order=None).encode
MAX_BODY_BYTES = 4 * 1024 * 1024
_HEARD_BYTES = 8 * 1024 * 1024
_REQUEST_ID = re.compile(r"req-[0-9a-fA-F-]{36}")
_NAME = re.compile(r"\{([a-z_]+)(?::path)?\}")


class Route:
    """All operations of one path of one service."""

    def __init__(self, cloud: Cloud, service: Service, template: str) -> None:
        self.cloud, self.service, self.template = cloud, service, template
        self.envelope = service.envelope
        self.by_method: dict[str, list[tuple[Op, tuple[str, ...]]]] = defaultdict(list)

    def add(self, op: Op, names: tuple[str, ...]) -> None:
        self.by_method[op.method].append((op, names))
        self.envelope = op.resource.envelope or self.envelope

    def serve(self, request: falcon.Request, response: falcon.Response, **values: str) -> None:
        """The falcon responder of every method."""
        asked = request.get_header("X-Openstack-Request-Id") or ""
        request_id = ids.new_request_id()
        response.set_header("x-openstack-request-id", request_id)
        if self.service.type == "compute":
            response.set_header("x-compute-request-id", request_id)
        call: Call | None = None
        try:
            call = self._new_call(request, tuple(values.values()))
            call.request_id = request_id
            version = call.version
            for name, value in self.service.versions.reply_headers(version).items():
                response.set_header(name, value)
            with log.on_behalf_of(request_id):
                reply = self._run(call, request)
            for name, value in call.reply_headers.items():
                response.set_header(name, value)
            _send(response, reply)
        except ApiError as error:
            _hear_out(request, call)
            self._refuse(response, error, call, request_id)
        except IntegrityError as error:
            _log.info("%s conflicts with existing rows: %s", request.path, error.orig)
            self._refuse(response, Conflict("Another resource with these values exists already."), call, request_id)
        except Exception as error:  # noqa: BLE001  (boundary: the one place where a request's bug ends)
            _log.exception("%s %s failed (%s)", request.method, request.path, asked or request_id)
            what = type(error).__name__
            message = f"Unexpected API Error ({what}). See the log for {request_id}, or: alto trace {request_id}"
            self._refuse(response, ApiError(message), call, request_id)

    def _new_call(self, request: falcon.Request, values: tuple[str, ...]) -> Call:
        below = self.template.count("/") > self.service.path.count("/")
        if self.service.strict_paths and below and request.env["PATH_INFO"].endswith("/"):
            raise NotFound(f"{request.env['PATH_INFO']} names nothing: an id is missing at its end.")
        method = "GET" if request.method == "HEAD" and "HEAD" not in self.by_method else request.method
        candidates = self.by_method.get(method)
        if not candidates:
            allowed = ", ".join(sorted(self.allowed()))
            raise MethodNotAllowed(f"{request.method} is not allowed here; use {allowed}.", headers={"Allow": allowed})
        version = self.service.versions.negotiate(request.headers)
        existing = [entry for entry in candidates if entry[0].exists_at(version)]
        if not existing:
            raise NotFound(f"{request.method} {request.path} does not exist at version {version}.")
        op, names = existing[0]
        if isinstance(op, Action):
            op, names = self._pick_action(request, existing, version)
        call = Call(self.cloud, self.service, op)
        is_name = self.template.endswith(":path}")
        call.ends_with_slash = request.env["PATH_INFO"].endswith("/")
        ends_with_slash = is_name and call.ends_with_slash
        if ends_with_slash:
            values = (*values[:-1], values[-1] + "/")  # the router takes it for an ornament; here it is part of a name
        call.params = dict(zip(names, values, strict=True))
        call.version = version
        call.headers = request.headers
        call.query = _parse_query(request.query_string)
        call.host_url = request.prefix
        call.peer = request.env.get("REMOTE_ADDR", "")
        call.path = request.env.get("altostratus.path", request.path)
        rewritten = "altostratus.path" in request.env
        path = (without_slash(call.path) if rewritten else call.path) + ("/" if ends_with_slash else "")
        call.asked = Asked(self.service.catalog_types, self.service.root, request.method, path, is_name)
        return call

    def _pick_action(
        self, request: falcon.Request, existing: list[tuple[Op, tuple[str, ...]]], version: Version | None
    ) -> tuple[Op, tuple[str, ...]]:
        payload = _read_json(request)
        if not isinstance(payload, dict) or not payload:
            raise BadRequest("The body must be a JSON object with the action's name as its member.")
        request.env["altostratus.json"] = payload
        for op, names in existing:
            if isinstance(op, Action) and op.action in payload:
                return op, names
        known = ", ".join(sorted(op.action for op, _ in existing if isinstance(op, Action)))
        raise BadRequest(f"There is no such action: {', '.join(map(str, payload))}. Known: {known}.")

    def allowed(self) -> set[str]:
        methods = set(self.by_method)
        return methods | ({"HEAD"} if "GET" in methods else set())

    def _run(self, call: Call, request: falcon.Request) -> Reply:
        op = call.op
        if not op.public:
            token = request.get_header("X-Auth-Token")
            if not token:
                raise Unauthorized("The request you have made requires authentication.")
            call.ctx = call.authenticate(token)
            in_path = request.env.get("altostratus.project_id")
            if in_path is not None and in_path != call.ctx.project_id:
                raise BadRequest("Malformed request url: the project in it is not the one that the token is for.")
        if op.stream == "in":
            call.stream = _body_of(request)
        elif op.method in ("POST", "PUT", "PATCH", "DELETE"):
            payload = request.env.get("altostratus.json")
            payload = _read_json(request) if payload is None else payload
            if payload is None and validate.body_schema(op, call.version) is not None:
                raise BadRequest("The request needs a JSON body.")
            validate.check_body(call, payload)
        validate.check_query(call)
        if op.public:
            return self._in_transaction(call)
        with log.on_behalf_of(call.request_id, call.ctx.user_id, call.ctx.project_id or "-"):
            return self._in_transaction(call)

    def _in_transaction(self, call: Call) -> Reply:
        op = call.op
        if op.tx == "none":
            # nothing to look up: no transaction (validating a token must stay cheap)
            if not op.public and (op.rule is not None or _names_row(op)):
                with self.cloud.db.read() as call.tx:
                    _admit(call)
            return _reply(call, handler_of(op)(call))
        with self.cloud.db.write() if op.tx == "write" else self.cloud.db.read() as call.tx:
            if not op.public:
                _admit(call)
            return _reply(call, handler_of(op)(call))

    def _refuse(self, response: falcon.Response, error: ApiError, call: Call | None, request_id: str) -> None:
        body = self.envelope(error, call)
        if isinstance(body, Reply):
            _send(response, body)
            return
        response.status = falcon.code_to_http_status(error.status)
        headers = {"WWW-Authenticate": 'Keystone uri="/identity/v3"'} if error.status == 401 else {}
        for name, value in (headers | error.headers).items():
            response.set_header(name, value)
        if isinstance(body, bytes):
            response.data = body
            response.content_type = "text/html; charset=UTF-8"
        else:
            response.data = _encode(body)
            response.content_type = "application/json"


def _names_row(op: Op) -> bool:
    return op.resource.row is not None and op.own_row and "{id}" in op.path


def _admit(call: Call) -> None:
    """Load the row that `{id}` names, if the caller can see it, and ask the policy."""
    op = call.op
    if _names_row(op):
        call.row = call.get_visible(call.params["id"])
    if op.rule is None:
        return
    if op.target is not None:
        target = op.target(call)
    elif call.row is not None:
        target = call.own_target() | {name: value for name, value in call.row._mapping.items() if value is not None}
        if "tenant_id" not in target or "project_id" in call.row._mapping:
            target["tenant_id"] = target.get("project_id")
    else:
        target = call.own_target()
    call.cloud.policy(call.service.type).demand(op.rule, call.ctx, target)


def _reply(call: Call, result: Any) -> Reply:
    op, resource = call.op, call.resource
    if isinstance(result, Reply):
        return result
    if result is None:
        return Reply(op.status)
    if isinstance(result, list):
        return page_reply(call, result, more=False)
    shown = call.render([result])[0]
    return Reply(op.status, {resource.one: shown} if resource.one else shown)


def _send(response: falcon.Response, reply: Reply) -> None:
    response.status = falcon.code_to_http_status(reply.status)
    for name, value in reply.headers.items():
        # falcon wants cookies added, not set
        (response.append_header if name == "Set-Cookie" else response.set_header)(name, value)
    if reply.stream is not None:
        response.content_type = reply.content_type or "application/octet-stream"
        response.stream = reply.stream
        if reply.length is not None:
            response.content_length = reply.length
    elif isinstance(reply.body, bytes):
        response.content_type = reply.content_type or "application/octet-stream"
        response.data = reply.body
    elif reply.body is not None:
        response.content_type = reply.content_type or "application/json"
        response.data = _encode(reply.body)
    elif reply.status not in (204, 304):
        response.content_type = reply.content_type or "application/json"
        response.data = b""


def _hear_out(request: falcon.Request, call: Call | None) -> None:
    """Take the rest of a body that is not long: who is still sending would see a broken connection, no refusal.

    Who has asked whether to send anything is told without it.
    """
    length = request.env.get("CONTENT_LENGTH", "")
    if call is None or call.stream is None or not length.isdecimal() or int(length) > _HEARD_BYTES:
        return
    if "HTTP_EXPECT" in request.env:
        return
    try:
        while call.stream.read(65_536):
            pass
    except OSError:
        return


def _body_of(request: falcon.Request) -> Any:
    """The body as a stream that ends. Chunked bodies have no length: then the server must say that it ends them."""
    return request.stream if request.env.get("wsgi.input_terminated") else request.bounded_stream


def _read_json(request: falcon.Request) -> Any:
    length = request.content_length
    if length is not None and length > MAX_BODY_BYTES:
        raise TooLarge(f"The body has {length} bytes; the most is {MAX_BODY_BYTES}.")
    data = _body_of(request).read(MAX_BODY_BYTES + 1) if length != 0 else b""
    if len(data) > MAX_BODY_BYTES:
        raise TooLarge(f"The body has more than {MAX_BODY_BYTES} bytes.")
    return validate.decode(data) if data.strip() else None


def _parse_query(text: str) -> dict[str, list[str]]:
    query: dict[str, list[str]] = {}
    if text:
        try:
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=1000)
        except ValueError:
            raise BadRequest("The query string has too many parameters.") from None
        for name, value in pairs:
            query.setdefault(name, []).append(value)
    return query


class ProjectInPath:
    """Takes the project id out of `/volume/v3/<project id>/...`, so that each path is routed once."""

    def __init__(self, app: Callable[..., Iterable[bytes]], prefixes: Iterable[str]) -> None:
        self._app = app
        self._pattern = re.compile(rf"^({'|'.join(map(re.escape, prefixes))})/([0-9a-f]{{32}})(/.*)?$")

    def __call__(self, env: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = env["PATH_INFO"]
        found = self._pattern.match(path)
        if found:
            env["altostratus.path"] = path
            env["altostratus.project_id"] = found[2]
            env["PATH_INFO"] = found[1] + (found[3] or "/")
        return self._app(env, start_response)


class OldPaths:
    """Serves `/compute/v2/servers` as `/compute/v2.1/servers` of the lowest version, whatever the headers ask."""

    def __init__(self, app: Callable[..., Iterable[bytes]], old: Mapping[str, Service]) -> None:
        self._app = app
        self._old = [(f"{path}/", service) for path, service in old.items()]

    def __call__(self, env: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = env["PATH_INFO"]
        for prefix, service in self._old:
            if path.startswith(prefix) and path != prefix:
                env["PATH_INFO"] = f"{service.path}/{path[len(prefix) :]}"
                for name in service.versions.request_headers():
                    env.pop(f"HTTP_{name.upper().replace('-', '_')}", None)
        return self._app(env, start_response)


def build_app(cloud: Cloud, extra: Mapping[str, Any] | None = None) -> Callable[..., Iterable[bytes]]:
    """The WSGI application of all services of `cloud`. `extra` maps paths to falcon resources of `app/`."""
    app = falcon.App()
    app.req_options.strip_url_path_trailing_slash = True
    app.add_error_handler(falcon.HTTPError, _plain_error)
    for service in cloud.all_services():
        for route in _routes(cloud, service):
            app.add_route(route.template, _falcon_resource(route))
    for path, thing in (extra or {}).items():
        app.add_route(path, thing)
    projects = [service.path for service in cloud.all_services() if service.project_in_path]
    served: Callable[..., Iterable[bytes]] = ProjectInPath(app, projects) if projects else app
    old = {path: service for service in cloud.all_services() for path in service.old_paths}
    served = OldPaths(served, old) if old else served
    for service in cloud.all_services():
        served = service.edge(served) if service.edge else served
    return served


def _routes(cloud: Cloud, service: Service) -> Iterable[Route]:
    routes: dict[str, Route] = {}
    for op in service.operations():
        whole = (op.resource.path or "") + op.path
        prefix = service.root if whole.startswith("!") else service.path
        whole = prefix + whole.removeprefix("!")
        names = tuple(_NAME.findall(whole))
        template = _numbered(whole)
        routes.setdefault(template, Route(cloud, service, template or "/")).add(op, names)
    return routes.values()


def _numbered(path: str) -> str:
    """The path with its names replaced by positions, so that two operations may name a place differently."""
    parts = path.split("/")
    for position, part in enumerate(parts):
        found = _NAME.fullmatch(part)
        if found:
            parts[position] = f"{{v{position}{':path' if part.endswith(':path}') else ''}}}"
    return "/".join(parts)


def _falcon_resource(route: Route) -> Any:
    members = {f"on_{method.lower()}": staticmethod(route.serve) for method in falcon.HTTP_METHODS}
    return type("RouteResource", (), members)()


def _plain_error(request: falcon.Request, response: falcon.Response, error: falcon.HTTPError, _params: Any) -> None:
    status = int(str(error.status)[:3])
    message = error.description or f"{request.path} is not a path of this cloud."
    response.status = error.status
    response.content_type = "application/json"
    response.data = _encode({"error": {"code": status, "title": error.title or "Not Found", "message": message}})
