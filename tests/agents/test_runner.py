# SPDX-License-Identifier: Apache-2.0
"""The agent runner over every link: function call, Unix socket, TLS."""

import datetime as dt
import ipaddress
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from altostratus.agents.link.client import LinkHostApi
from altostratus.agents.link.stream import LinkDown
from altostratus.agents.link.tls import HostCertificate, TlsHostApi
from altostratus.agents.link.unix import UnixHostApi
from altostratus.agents.runner import AgentRunner
from altostratus.app.host_link import HostLink
from altostratus.contracts.host_api import CallHandler, HostApi, Key, Report, ReportSink, Wanted
from altostratus.kernel.db import Db
from altostratus.kernel.desired import Desired, Want
from altostratus.kernel.errors import ApiError, NotFound, Unavailable

HOST = "compute-1"


def _broken(_params: dict[str, Any]) -> dict[str, Any]:
    raise RuntimeError("a defect of the handler")


class ToyAgent:
    """Remembers what it was asked for; `broken` makes its next passes raise."""

    kinds: tuple[str, ...] = ("toy",)

    def __init__(self) -> None:
        self.made: dict[str, Any] = {}
        self.broken = 0
        self.passes = 0
        self.resyncs = 0
        self.closed = False
        self.slow = threading.Event()

    def apply(self, wanted: Mapping[Key, Wanted], changed: frozenset[Key], report: ReportSink, *, resync: bool) -> None:
        self.passes += 1
        self.resyncs += resync
        if self.broken:
            self.broken -= 1
            raise RuntimeError("a defect of the agent")
        for key in changed:
            row = wanted[key]
            if row.spec is None:
                self.made.pop(key.id, None)
            else:
                self.made[key.id] = row.spec
            report(Report(kind=key.kind, id=key.id, generation=row.generation, state={"seen": row.spec or {}}))

    def calls(self) -> dict[str, CallHandler]:
        return {"echo": lambda params: {"echo": params}, "refuse": self._refuse, "slow": self._slow, "bug": _broken}

    @staticmethod
    def _refuse(_params: dict[str, Any]) -> dict[str, Any]:
        raise NotFound("There is no such log.")

    def _slow(self, _params: dict[str, Any]) -> dict[str, Any]:
        self.slow.wait(5)
        return {}

    def facts(self) -> dict[str, Any]:
        return {"color": "blue"}

    def close(self) -> None:
        self.closed = True


def until(condition: Callable[[], Any], timeout_s: float = 5.0) -> Any:
    end = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)
    return found


def certificates(folder: Path, *names: str) -> dict[str, HostCertificate]:
    """A throw-away authority and a certificate for each name."""
    now = dt.datetime.now(dt.UTC)

    def issue(name: str, signer_name: x509.Name | None, signer_key: Any) -> tuple[Any, x509.Certificate]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(signer_name or subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=signer_name is None, path_length=None), critical=True)
            .add_extension(names, critical=False)
        )
        return key, builder.sign(signer_key or key, hashes.SHA256())

    def pem(key: Any) -> Any:
        return key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    folder.mkdir(exist_ok=True)
    authority_key, authority = issue("authority", None, None)
    (folder / "authority.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    found = {}
    for name in names:
        key, certificate = issue(name, authority.subject, authority_key)
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / f"{name}.key").write_bytes(pem(key))
        found[name] = HostCertificate(folder / f"{name}.pem", folder / f"{name}.key", folder / "authority.pem")
    return found


class Control:
    """A control process that can be restarted."""

    def __init__(self, folder: Path, transport: str) -> None:
        self.folder, self.transport = folder, transport
        self.db = Db(f"sqlite:///{folder / 'test.sqlite'}")
        self.db.create_all()
        self.desired = Desired(self.db)
        self.certificates = certificates(folder / "tls", "control", HOST, "other") if transport == "tls" else {}
        self.port = 0
        self.link: HostLink
        self.start()

    def start(self) -> None:
        self.link = HostLink(self.desired, {"metadata": lambda params: {"you asked": params}, "broken": _broken})
        if self.transport == "unix":
            self.link.listen_unix(self.folder / "host.sock")
        if self.transport == "tls":
            self.port = self.link.listen_tls("127.0.0.1", self.port, self.certificates["control"])

    def api(self) -> HostApi:
        if self.transport == "unix":
            return UnixHostApi(self.folder / "host.sock")
        if self.transport == "tls":
            return TlsHostApi("127.0.0.1", self.port, self.certificates[HOST])
        return self.link.local()

    def want(self, id: str, spec: Any) -> int:
        with self.db.write() as tx:
            return self.desired.want(tx, Want("toy", id, HOST, spec))

    def row(self, id: str) -> Any:
        with self.db.read() as tx:
            return self.desired.show(tx, "toy", id)

    def observed(self, id: str, spec: Any) -> bool:
        row = self.row(id)
        return row is not None and row.observed == {"seen": spec} and row.observed_generation == row.generation


@pytest.fixture(params=["local", "unix", "tls"])
def control(request, tmp_path) -> Iterator[Control]:
    made = Control(tmp_path, request.param)
    yield made
    made.link.close()
    made.db.close()


@pytest.fixture
def running(control) -> Iterator[tuple[Control, ToyAgent]]:
    agent = ToyAgent()
    runner = AgentRunner(HOST, control.api(), {"toys": agent}, heartbeat_s=0.1)
    runner.start()
    yield control, agent
    agent.slow.set()
    runner.stop()
    assert agent.closed
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("agent-", "link-"))]


def test_what_is_wanted_is_made_and_reported(running):
    control, agent = running
    control.want("a", {"size": 1})
    until(lambda: control.observed("a", {"size": 1}))
    control.want("a", {"size": 2})
    until(lambda: control.observed("a", {"size": 2}))
    control.want("a", None)
    until(lambda: control.row("a") is None)
    assert agent.made == {}
    control.want("a", {"size": 3})
    until(lambda: control.observed("a", {"size": 3}))


def test_a_host_tells_that_it_lives_and_what_it_offers(running):
    control, _ = running

    def host():
        with control.db.read() as tx:
            return control.desired.hosts(tx, kind="toy")

    (found,) = until(host)
    assert (found.name, found.facts, found.alive) == (HOST, {"toys": {"color": "blue"}}, True)
    until(lambda: host()[0].last_seen > found.last_seen)


def test_a_defect_in_apply_is_tried_again(running, caplog):
    control, agent = running
    until(lambda: agent.resyncs)
    agent.broken = 2
    with caplog.at_level(logging.ERROR):
        control.want("a", {"size": 1})
        until(lambda: control.observed("a", {"size": 1}))
    assert agent.broken == 0
    assert "a defect of the agent" in caplog.text


def test_questions_to_the_host(running):
    control, _agent = running
    until(lambda: HOST in control.link.connected_hosts())
    assert control.link.call(HOST, "toys.echo", {"a": [1]}) == {"echo": {"a": [1]}}
    with pytest.raises(ApiError, match="no such log") as refused:
        control.link.call(HOST, "toys.refuse", {})
    assert refused.value.status == 404
    with pytest.raises(ApiError, match="internal reason"):
        control.link.call(HOST, "toys.bug", {})
    with pytest.raises(Unavailable, match="is not connected"):
        control.link.call("elsewhere", "toys.echo", {})
    with pytest.raises(Unavailable, match=r"does not answer toys\.nothing|is not connected"):
        control.link.call(HOST, "toys.nothing", {})
    if control.transport != "local":
        with pytest.raises(Unavailable, match=r"within 0.1 s"):
            control.link.call(HOST, "toys.slow", {}, timeout_s=0.1)
        # a slow answer holds up nobody
        assert control.link.call(HOST, "toys.echo", {}, timeout_s=2) == {"echo": {}}


def test_questions_to_the_control_process(control):
    api = control.api()
    assert api.ask(HOST, "metadata", {"ip": "10.0.0.3"}) == {"you asked": {"ip": "10.0.0.3"}}
    with pytest.raises(ApiError, match="does not answer nonsense"):
        api.ask(HOST, "nonsense", {})
    if control.transport != "local":
        with pytest.raises(ApiError, match="internal reason"):
            api.ask(HOST, "broken", {})
    api.close()


def test_a_long_watch_holds_up_no_report(control):
    api = control.api()
    generation = control.want("a", {"size": 1})
    first = api.watch(HOST, ["toy"], 0, 30)
    assert [row.generation for row in first.rows] == [generation]
    found: list[Any] = []
    watcher = threading.Thread(target=lambda: found.append(api.watch(HOST, ["toy"], first.revision, 20)))
    watcher.start()
    time.sleep(0.05)
    started = time.monotonic()
    api.report(HOST, [Report(kind="toy", id="a", generation=generation, state={"seen": {"size": 1}})])
    assert time.monotonic() - started < 2
    assert control.observed("a", {"size": 1})
    assert not found
    control.want("b", {"size": 2})
    watcher.join(5)
    assert [row.id for row in found[0].rows] == ["b"]
    api.close()


@pytest.mark.parametrize("control", ["unix", "tls"], indirect=True)
def test_a_restart_of_the_control_process_is_survived(running):
    control, agent = running
    control.want("a", {"size": 1})
    until(lambda: control.observed("a", {"size": 1}))
    control.link.close()
    control.want("b", {"size": 2})
    passes = agent.resyncs
    time.sleep(0.3)
    control.start()
    until(lambda: control.observed("b", {"size": 2}), 15)
    assert agent.resyncs > passes
    until(lambda: HOST in control.link.connected_hosts(), 15)
    assert control.link.call(HOST, "toys.echo", {}) == {"echo": {}}


@pytest.mark.parametrize("control", ["unix", "tls"], indirect=True)
def test_closing_ends_a_watch(control):
    api = control.api()
    ended: list[type] = []

    def watch() -> None:
        try:
            api.watch(HOST, ["toy"], 99, 30)
        except ConnectionError as error:
            ended.append(type(error))

    watcher = threading.Thread(target=watch)
    watcher.start()
    time.sleep(0.05)
    api.close()
    watcher.join(3)
    assert ended == [LinkDown]


@pytest.mark.parametrize("control", ["tls"], indirect=True)
def test_a_certificate_is_good_for_its_own_host_only(control):
    stranger = TlsHostApi("127.0.0.1", control.port, control.certificates["other"])
    with pytest.raises(ApiError, match="not for host compute-1") as refused:
        stranger.hello(HOST, ["toy"], {})
    assert refused.value.status == 403
    stranger.hello("other", ["toy"], {})
    stranger.close()


@pytest.mark.parametrize("control", ["tls"], indirect=True)
def test_a_foreign_certificate_is_turned_away(control, tmp_path):
    foreign = certificates(tmp_path / "foreign", HOST)[HOST]
    mixed = HostCertificate(foreign.certificate, foreign.key, control.certificates[HOST].authority)
    api = TlsHostApi("127.0.0.1", control.port, mixed)
    with pytest.raises(LinkDown):
        api.hello(HOST, ["toy"], {})
    api.close()


@pytest.mark.parametrize("control", ["unix", "tls"], indirect=True)
def test_large_messages_pass(control):
    api = control.api()
    assert isinstance(api, LinkHostApi)
    text = "x" * 3_000_000
    assert api.ask(HOST, "metadata", {"text": text}) == {"you asked": {"text": text}}
    api.close()


def test_reports_are_kept_until_they_are_acknowledged(tmp_path):
    control = Control(tmp_path, "unix")
    agent = ToyAgent()
    runner = AgentRunner(HOST, control.api(), {"toys": agent}, heartbeat_s=0.1)
    runner.start()
    until(lambda: agent.resyncs)
    broken = threading.Event()
    report = control.desired.report

    def failing(host: str, reports: list[Report]) -> None:
        if not broken.is_set():
            broken.set()
            raise RuntimeError("the database is gone")
        report(host, reports)

    control.desired.report = failing  # type: ignore[method-assign]
    control.want("a", {"size": 1})
    until(lambda: control.observed("a", {"size": 1}))
    assert broken.is_set()
    runner.stop()
    control.link.close()
    control.db.close()
