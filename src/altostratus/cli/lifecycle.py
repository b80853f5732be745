# SPDX-License-Identifier: Apache-2.0
"""`alto up`, `down`, `status`, `logs`."""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Annotated

import typer
from rich.table import Table

from altostratus.app.files import prepare_directories
from altostratus.app.object_disks import disk_troubles
from altostratus.app.options import CloudOptions, Paths, base_url
from altostratus.app.privileges import in_user_namespace
from altostratus.cli.api_client import ClientError
from altostratus.cli.image import register_mini_image
from altostratus.cli.place import find_place, log_file, log_in, policy_problems, request, running_pid
from altostratus.cli.screen import err, fail, out, say
from altostratus.kernel import clock

_LEAST_FREE_MIB = 512
_READY_S = 60.0


def up(
    wait: Annotated[bool, typer.Option(help="wait until APIs and agents answer")] = True,
) -> None:
    """Start the cloud of this machine; everything that ran before runs again, guests included."""
    paths, options = find_place()
    if running_pid(paths) is not None:
        say(f"the cloud is running already: {base_url(options)}")
        return
    # children of a supervisor that was killed hold ports and sockets; guests are none of them
    _end_leftovers(paths)
    _check_before(paths, options)
    supervisor = _start(paths)
    if wait:
        _wait_until_ready(paths, options, supervisor)
        _offer_image(paths, options)
        say(f"the cloud is up: {base_url(options)}   (credentials: alto openrc, or: alto clouds-yaml)")


def _check_before(paths: Paths, options: CloudOptions) -> None:
    if os.geteuid() != 0 and options.network == "linuxbridge":
        fail(
            "networks and virtual machines need root here. Run: sudo ./alto up   "
            "(or set hypervisor, network and volume to fake in the configuration for an API without machines)"
        )
    if os.geteuid() == 0 and in_user_namespace():
        say("note: this is root inside a user namespace; guests run as the same user")
    try:
        prepare_directories(paths, options)
    except OSError as error:
        fail(f"cannot prepare {paths.state}: {error.strerror}. Choose another place with ALTO_STATE=/path.")
    free_mib = shutil.disk_usage(paths.state).free // 2**20
    if free_mib < _LEAST_FREE_MIB:
        fail(
            f"only {free_mib} MiB are free in {paths.state}; {_LEAST_FREE_MIB} are needed. "
            "Free some, or set ALTO_STATE."
        )
    # an empty folder needs no look, which takes most of a second
    problems = policy_problems(paths) if any(paths.policy.iterdir()) else []
    if problems:
        fail(f"a policy file cannot be used; mend it or move it away. {'; '.join(problems)}")
    why = _why_busy(options.listen, options.port)
    if why:
        fail(
            f"cannot listen on {options.listen} port {options.port}: {why}. End what uses it, "
            f"or write another port into {paths.config}:  [cloud] port = 8781"
        )
    if options.console_port and (why := _why_busy(options.listen, options.console_port)):
        say(
            f"note: consoles have no port ({options.console_port}: {why}) until what uses it ends, "
            f"or another is written into {paths.config}:  [cloud] console_port = 6081"
        )


def _why_busy(address: str, port: int) -> str | None:
    """Why nobody can listen there, or None."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.strerror
    return None


def _start(paths: Paths) -> subprocess.Popen[bytes]:
    environment = os.environ | {"ALTO_STATE": str(paths.state)}
    with log_file(paths, "control").open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "altostratus.app.supervisor"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
            cwd="/",
        )


def _wait_until_ready(paths: Paths, options: CloudOptions, supervisor: subprocess.Popen[bytes]) -> None:
    started = clock.monotonic()

    def wait_for(ready: Callable[[], bool], words: str) -> None:
        while not ready():
            if clock.monotonic() - started > _READY_S:
                fail(f"{words} after {_READY_S:.0f} s. Look at: alto logs   (files in {paths.logs})")
            # it may have ended because another one was quicker
            if supervisor.poll() is not None and running_pid(paths) is None:
                fail(f"the cloud ended while starting. The reason is at the end of {log_file(paths, 'control')}")
            time.sleep(0.03)

    with err.status("starting the control process ...") as shown:
        wait_for(lambda: _answers(options), "the API does not answer")
        shown.update("waiting for the agents of this host ...")
        token, _ = log_in(paths, options)
        wait_for(lambda: _has_host(options, token), "the agents do not report")


def _offer_image(paths: Paths, options: CloudOptions) -> None:
    try:
        register_mini_image(paths, options)
    except (ClientError, OSError) as error:
        say(f"note: the image `mini` could not be registered: {error}")


def _answers(options: CloudOptions) -> bool:
    try:
        return request("GET", base_url(options) + "/identity/v3", timeout_s=2)[0] == 200
    except OSError:
        return False


def _has_host(options: CloudOptions, token: str) -> bool:
    """A host is connected now, and compute knows it."""
    headers = {"X-Auth-Token": token}
    for path, many in (("/alto/v1/hosts", "hosts"), ("/compute/v2.1/os-hypervisors", "hypervisors")):
        _, _, shown = request("GET", base_url(options) + path, headers=headers)
        if not (isinstance(shown, dict) and shown.get(many)):
            return False
    return True


def down(
    purge: Annotated[bool, typer.Option("--purge", help="also delete everything the cloud ever stored")] = False,
    keep_guests: Annotated[bool, typer.Option("--keep-guests", help="leave guests and networks running")] = False,
) -> None:
    """Stop the cloud, guests included; `alto up` brings everything back."""
    paths, _ = find_place()
    pid = running_pid(paths)
    if pid is not None:
        with err.status("stopping the APIs and agents ..."):
            _end(pid, paths)
    else:
        _end_leftovers(paths)
    if not paths.state.exists():
        say("there is no cloud on this machine; nothing to stop")
        return
    if not keep_guests:
        with err.status("stopping guests and removing networks ..."):
            _tear_down(paths)
    if purge:
        shutil.rmtree(paths.state)
        say(f"the cloud is down and {paths.state} is gone")
    else:
        say("the cloud is down; `alto up` brings it back")


def _end(pid: int, paths: Paths) -> None:
    os.kill(pid, signal.SIGTERM)
    deadline = clock.monotonic() + 25
    while running_pid(paths) is not None:
        if clock.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.05)
    _end_leftovers(paths)


def _end_leftovers(paths: Paths) -> None:
    """Control and agent processes that outlived a killed supervisor."""
    for path in (paths.control_pid, paths.agent_pid, paths.console_pid):
        try:
            pid = int(path.read_text())
            with open(f"/proc/{pid}/environ", "rb") as handle:
                ours = f"ALTO_STATE={paths.state}".encode() in handle.read().split(b"\0")
            if ours:
                _kill(pid)
        except (OSError, ValueError):
            continue
        finally:
            path.unlink(missing_ok=True)


def _kill(pid: int) -> None:
    """End a process at once and wait until what it held is free. Raises OSError if it is gone already."""
    handle = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        select.select([handle], [], [], 5.0)
    finally:
        os.close(handle)


def _tear_down(paths: Paths) -> None:
    argv = [sys.executable, "-m", "altostratus.app.teardown"]
    done = subprocess.run(
        argv, env=os.environ | {"ALTO_STATE": str(paths.state)}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        fail(f"something could not be stopped: {lines[-1]}")


def status() -> None:
    """Show what runs: processes, hosts, services, and what is in the cloud."""
    paths, options = find_place()
    pid = running_pid(paths)
    if pid is None:
        say(f"the cloud in {paths.state} is not running. Start it with: alto up")
        raise typer.Exit(3)
    table = Table("process", "pid", "memory (MiB)")
    for name, path in (("control", paths.control_pid), ("agent", paths.agent_pid), ("console", paths.console_pid)):
        if path.exists():
            number = int(path.read_text())
            table.add_row(name, str(number), _memory_mib(number))
    table.add_row("supervisor", str(pid), _memory_mib(pid))
    out.print(table)
    token, description = log_in(paths, options)
    headers = {"X-Auth-Token": token}
    services = Table("service", "endpoint")
    for entry in description["catalog"]:
        services.add_row(entry["type"], next(one["url"] for one in entry["endpoints"] if one["interface"] == "public"))
    out.print(services)
    _, _, hosts = request("GET", base_url(options) + "/compute/v2.1/os-hypervisors/detail", headers=headers)
    shown = Table("host", "hypervisor", "state", "guests", "vCPUs", "memory (MiB)")
    for host in hosts["hypervisors"]:
        used = f"{host['vcpus_used']}/{host['vcpus']}", f"{host['memory_mb_used']}/{host['memory_mb']}"
        kind = host["hypervisor_type"]
        shown.add_row(host["hypervisor_hostname"], kind, host["state"], str(host["running_vms"]), *used)
    out.print(shown)
    for problem in policy_problems(paths):
        say(f"{problem}. Older rules stay in force until this is mended.", "policy")
    for trouble in disk_troubles(paths, options):
        say(f"{trouble}. See: alto ring show", "objects")


def _memory_mib(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/smaps_rollup") as handle:
            for line in handle:
                if line.startswith("Pss:"):
                    return str(int(line.split()[1]) // 1024)
    except OSError:
        return "?"
    return "?"


def logs(
    name: Annotated[
        str, typer.Argument(help="control, agent or console; upstream's short names work too (n-cpu, q-svc ...)")
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on showing new lines")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="how many of the newest lines")] = 100,
) -> None:
    """Show the logs of the cloud's processes."""
    paths, _ = find_place()
    agents = ("n-cpu", "q-agt", "q-dhcp", "q-l3", "q-meta", "c-vol", "agent")
    short = name.removeprefix("devstack@").removesuffix(".service")
    chosen = (
        ["control", "agent", "console"]
        if not short
        else ["agent"]
        if short in agents
        else ["console"]
        if short == "console"
        else ["control"]
    )
    files = [str(log_file(paths, one)) for one in chosen if log_file(paths, one).exists()]
    if not files:
        fail(f"there are no logs in {paths.logs} yet")
    os.execvp("tail", ["tail", "-n", str(lines), *(["-F"] if follow else []), *files])  # noqa: S606  (no shell is wanted)
