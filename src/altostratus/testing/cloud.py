# SPDX-License-Identifier: Apache-2.0
"""`TestCloud`: the whole application over real SQLite and fake drivers, in this process.

with TestCloud(tmp_path, services=(network.SERVICE,)) as cloud:
    made = cloud.client("member").post("/network/v2.0/networks", {"network": {"name": "n"}})
    cloud.settle()      # jobs, agents and events until nothing is left to do
"""

import functools
import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from falcon import testing
from sqlalchemy import Dialect, Engine

from altostratus.app.assembly import assemble, seed
from altostratus.app.policy_files import PolicyOptions, PolicyPlaces
from altostratus.contracts.host_api import Agent, Key, Report, Wanted
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.config import Settings
from altostratus.kernel.db import Db, Model, counting_queries
from altostratus.kernel.http import build_app
from altostratus.kernel.resource.service import Service
from altostratus.testing.personas import PersonaAuthenticator, project_id, user_id

HOST = "host-1"


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.content) if self.content else None


class Client:
    """HTTP as one persona; bodies given as str or bytes go out as they are."""

    def __init__(self, app: Callable[..., Any], token: str | None, headers: dict[str, str] | None = None) -> None:
        self._client = testing.TestClient(_as_wsgiref_likes(app))
        self._headers = ({"X-Auth-Token": token} if token else {}) | (headers or {})
        self.token = token
        self.project_id = project_id(_project_of(token)) if token else None

    def request(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        sent = self._headers | (headers or {})
        if body is not None and not isinstance(body, str | bytes):
            body = json.dumps(body)
            sent = {"Content-Type": "application/json"} | sent
        path, _, query = path.partition("?")
        result = self._client.simulate_request(method, path, query_string=query, body=body, headers=sent)
        return Answer(
            result.status_code, {name.lower(): value for name, value in result.headers.items()}, result.content
        )

    def get(self, path: str, **options: Any) -> Answer:
        return self.request("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.request("POST", path, body, **options)

    def put(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.request("PUT", path, body, **options)

    def patch(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.request("PATCH", path, body, **options)

    def delete(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.request("DELETE", path, body, **options)


def _project_of(token: str) -> str:
    persona, _, project = token.partition("@")
    return project or ("admin" if persona == "admin" else "blue")


class InstantAgent:
    """Stands for an agent that does everything at once; `fail` maps a Key to an error sentence.

    `state` gives what is reported for a wanted row.
    """

    def __init__(self, kinds: Iterable[str], state: Callable[[Wanted], dict[str, Any]] | None = None) -> None:
        self.kinds = tuple(kinds)
        self.fail: dict[Key, str] = {}
        self._state = state or (lambda wanted: {})
        self.seen: dict[Key, Wanted] = {}

    def apply(self, wanted: Any, changed: frozenset[Key], report: Callable[[Report], None], *, resync: bool) -> None:
        for key in sorted(changed):
            row = wanted[key]
            error = self.fail.get(key)
            if row.spec is None:
                self.seen.pop(key, None)
            else:
                self.seen[key] = row
            state = {} if row.spec is None or error else self._state(row)
            report(
                Report(kind=row.kind, id=row.id, generation=row.generation, state=state, error=error, final=bool(error))
            )

    def calls(self) -> dict[str, Any]:
        return {}

    def facts(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        return None


def _as_wsgiref_likes(app: Callable[..., Any]) -> Callable[..., Any]:
    """The checks of wsgiref refuse a type where nothing comes (204); HTTP allows it, and Swift's clients want it."""

    def served(env: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            if status.startswith(("204", "304")):
                headers = [(name, value) for name, value in headers if name.lower() != "content-type"]
            return start_response(status, headers, *rest)

        return app(env, start)

    return served


@functools.cache
def _empty_database(tables: int) -> bytes:
    """The file of a database with this number of tables, all that there are: made once, copied for every cloud."""
    with tempfile.TemporaryDirectory() as directory:
        db = Db(f"sqlite:///{directory}/made.sqlite")
        assert len(Model.metadata.tables) == tables
        db.create_all()
        with db.engine.connect() as conn:
            conn.exec_driver_sql("VACUUM INTO ?", (f"{directory}/empty.sqlite",))
        db.close()
        return Path(directory, "empty.sqlite").read_bytes()


class _Statements:
    """SQL that one cloud has compiled is taken by the next; the cache knows its dialect, so they share that too."""

    def __init__(self) -> None:
        self._compiled: dict[Any, Any] = {}
        self._dialect: Dialect | None = None

    def share(self, engine: Engine) -> None:
        self._dialect = engine.dialect = self._dialect or engine.dialect
        engine.update_execution_options(compiled_cache=self._compiled)


_statements = _Statements()


class TestCloud:
    """See the module's text. `agents` maps agent names to agents; `facts` what they say of the host."""

    __test__ = False

    def __init__(
        self,
        directory: Path,
        *,
        services: Iterable[Service],
        agents: dict[str, Agent] | None = None,
        settings: Settings | None = None,
        prepare: Callable[[Cloud], None] | None = None,
    ) -> None:
        self.directory = directory
        database = directory / "test.sqlite"
        if not database.exists():
            database.write_bytes(_empty_database(len(Model.metadata.tables)))
        self.cloud = assemble(
            services,
            database_url=f"sqlite:///{database}",
            settings=settings,
            policy_places=PolicyPlaces(directory / "policy", PolicyOptions(config_root="")),
        )
        _statements.share(self.cloud.db.engine)
        self.cloud.authenticator = PersonaAuthenticator()
        if prepare is not None:
            prepare(self.cloud)
        seed(self.cloud)
        self.agents: dict[str, Agent] = {}
        self._revisions: dict[str, int] = {}
        self._wanted: dict[str, dict[Key, Wanted]] = {}
        for name, agent in (agents or {}).items():
            self.add_agent(name, agent)
        self.app = build_app(self.cloud)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for agent in self.agents.values():
            agent.close()
        self.cloud.db.close()

    def client(self, token: str | None, **headers: str) -> Client:
        return Client(self.app, token, {name.replace("_", "-"): value for name, value in headers.items()})

    def add_agent(self, name: str, agent: Agent, facts: dict[str, Any] | None = None) -> None:
        self.agents[name] = agent
        self._revisions[name] = 0
        self._wanted[name] = {}
        kinds = [kind for one in self.agents.values() for kind in one.kinds]
        all_facts = {one_name: one.facts() for one_name, one in self.agents.items()} | (facts or {})
        self.cloud.desired.hello(HOST, kinds, all_facts)

    def settle(self, rounds: int = 60) -> None:
        """Run jobs, agents and events until a whole round changes nothing."""
        for _ in range(rounds):
            self.cloud.jobs.run_until_idle()
            busy = sum(self._run_agent(name) for name in self.agents) > 0
            busy = self.cloud.events.deliver_all() > 0 or busy
            if not busy:
                return
        raise AssertionError(f"the cloud did not settle in {rounds} rounds")

    def _run_agent(self, name: str) -> bool:
        agent, wanted = self.agents[name], self._wanted[name]
        changes = self.cloud.desired.watch(HOST, list(agent.kinds), self._revisions[name], 0)
        self._revisions[name] = changes.revision
        if not changes.rows:
            return False
        for row in changes.rows:
            wanted[row.key] = row
        reports: list[Report] = []
        agent.apply(wanted, frozenset(row.key for row in changes.rows), reports.append, resync=False)
        self.cloud.desired.report(HOST, reports)
        for report in reports:
            key = Key(report.kind, report.id)
            if key in wanted and wanted[key].spec is None and report.error is None:
                del wanted[key]
        return True

    def count_queries(self, work: Callable[[], Any]) -> int:
        with counting_queries() as seen:
            work()
        return len(seen)

    @staticmethod
    def project_id(name: str = "blue") -> str:
        return project_id(name)

    @staticmethod
    def user_id(persona: str = "member", project: str = "blue") -> str:
        return user_id(persona, project)
