# SPDX-License-Identifier: Apache-2.0
"""Power of a guest: stop, pause, save to a file, bring back; and what its own end is recorded as."""

import os
from pathlib import Path

from altostratus.contracts.hypervisor import HypervisorError
from altostratus.kernel import clock

from .boot import last_words, start
from .qmp import Event, Monitor, MonitorError, MonitorLostError
from .server import Host, Server, end_process, get_monitor, runstate

_POWERDOWN_EVERY_S = 5.0
_SAVE_TIMEOUT_S = 600.0
_UNLIMITED_BYTES_PER_S = 1 << 40
_MIGRATE_TO_FILE = (8, 2)
# Runstates after which the guest can never go on.
_DEAD_ENDS = {"internal-error": "QEMU gave up on it", "guest-panicked": "its kernel panicked"}


def settle(host: Host, server: Server) -> bool:
    """Record that a guest ended by itself, and clear what is left of it. True if it had."""
    record = server.record
    state = runstate(host, server)
    if state == "shutdown":
        end_process(host, server)
        _record_end(server, "stopped", "The guest powered itself off.")
        return True
    if state in _DEAD_ENDS:
        end_process(host, server)
        _record_end(server, "crashed", f"The guest crashed: {_DEAD_ENDS[state]}.")
        return True
    if state is not None or record.pid is None:
        return False
    guest = server.guest
    status = host.children.status(guest) if guest is not None else None
    end_process(host, server)
    if record.saved:
        return False
    if record.host_boot != host.boot:
        keep_down = None if record.spec.restart_on_crash else "stopped"
        _record_end(server, keep_down, "The host was restarted.")
        return True
    told = f" with status {status}" if status else ""
    words = last_words(server)
    _record_end(server, "crashed", f"QEMU ended unexpectedly{told}; its last words: {words}")
    return True


def _record_end(server: Server, ended: str | None, reason: str) -> None:
    server.record.ended = "crashed" if ended == "crashed" else "stopped" if ended else None
    server.record.ended_reason = reason
    server.store()


def stop(host: Host, server: Server, timeout_s: float) -> None:
    """Ask the guest to shut down, then end QEMU. 0: end it at once, as if the power cable were pulled."""
    if server.is_alive() and timeout_s > 0 and not server.hurry.is_set():
        try:
            _ask_to_shut_down(host, server, timeout_s)
        except (MonitorError, MonitorLostError):
            pass  # it ended in the middle of being asked
    end_process(host, server)


def _ask_to_shut_down(host: Host, server: Server, timeout_s: float) -> None:
    monitor = get_monitor(host, server)
    monitor.forget_events()
    state = monitor.execute("query-status")["status"]
    if state == "shutdown":
        return
    if state == "paused":
        monitor.execute("cont")
    deadline = clock.monotonic() + timeout_s
    ask_again = 0.0
    while clock.monotonic() < deadline and monitor.connected and not server.hurry.is_set():
        # A guest that is still booting does not hear the button; one that does is not hurt by a second press.
        if clock.monotonic() >= ask_again:
            monitor.execute("system_powerdown")
            ask_again = clock.monotonic() + _POWERDOWN_EVERY_S
        if monitor.find_event(0.25, lambda event: event["event"] == "SHUTDOWN"):
            return


def pause(host: Host, server: Server) -> None:
    get_monitor(host, server).execute("stop")


def resume_from_pause(host: Host, server: Server) -> None:
    get_monitor(host, server).execute("cont")


def suspend(host: Host, server: Server) -> None:
    """Save the guest's memory to a file and end the process."""
    monitor = get_monitor(host, server)
    monitor.execute("stop")
    temporary = server.files.saved_state.with_suffix(".part")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600)
    try:
        if host.config.run_as is not None:
            os.fchown(handle, *host.config.run_as)
        monitor.execute("migrate-set-parameters", {"max-bandwidth": _UNLIMITED_BYTES_PER_S})
        monitor.execute("migrate", {"uri": _state_uri(host, monitor, temporary, handle)})
        _wait_migrated(server, monitor)
        os.fsync(handle)
    except (HypervisorError, MonitorError):
        monitor.execute("cont")
        raise
    finally:
        os.close(handle)
    temporary.replace(server.files.saved_state)
    server.record.saved = True
    end_process(host, server)


def restore(host: Host, server: Server) -> None:
    """Start QEMU with the saved memory. Devices are those at the time of saving."""
    record = server.record
    state = server.files.saved_state
    if record.booted is None or not state.exists():
        record.saved = False
        server.store()
        raise HypervisorError(f"The saved memory of server {server.id} is lost; it starts anew.")
    start(host, server, record.booted, incoming=True)
    handle = os.open(state, os.O_RDONLY)
    try:
        monitor = get_monitor(host, server)
        monitor.execute("migrate-incoming", {"uri": _state_uri(host, monitor, state, handle)})
        _wait_migrated(server, monitor)
    except (HypervisorError, MonitorError, MonitorLostError):
        end_process(host, server)
        raise
    finally:
        os.close(handle)
    # From here on the disks move away from the saved memory: it must never be used again.
    record.saved = False
    server.store()
    state.unlink(missing_ok=True)
    monitor.execute("cont")


def forget_saved_state(server: Server) -> None:
    server.record.saved = False
    server.store()
    server.files.saved_state.unlink(missing_ok=True)


def _state_uri(host: Host, monitor: Monitor, path: Path, handle: int) -> str:
    """QEMU writes to a file by name since 8.2; older ones through a descriptor, which newer ones discourage."""
    if host.facts.version_number >= _MIGRATE_TO_FILE:
        return f"file:{path}"
    monitor.execute("getfd", {"fdname": "saved-state"}, fd=handle)
    return "fd:saved-state"


def _wait_migrated(server: Server, monitor: Monitor) -> None:
    deadline = clock.monotonic() + _SAVE_TIMEOUT_S
    pause_s = 0.005
    while clock.monotonic() < deadline:
        found = monitor.execute("query-migrate")
        status = found.get("status")
        if status == "completed":
            return
        if status in {"failed", "cancelled"}:
            told = found.get("error-desc") or "QEMU gives no reason"
            raise HypervisorError(f"The memory of server {server.id} could not be moved: {told}.")
        if server.hurry.is_set():
            monitor.execute("migrate_cancel")
        monitor.find_event(pause_s, _never)
        pause_s = min(pause_s * 1.5, 0.2)
    raise HypervisorError(f"The memory of server {server.id} was not moved within {_SAVE_TIMEOUT_S:.0f} s.")


def _never(_: Event) -> bool:
    return False
