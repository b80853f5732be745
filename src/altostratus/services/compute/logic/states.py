# SPDX-License-Identifier: Apache-2.0
"""States of servers: what a job means for `task_state`, and what both mean for `status`.

Source of the tables: the compute API guide's server concepts, and what its clients wait for.
"""

from typing import Any, Final

# power_state numbers of the API
NO_STATE, RUNNING, PAUSED, SHUTDOWN, CRASHED, SUSPENDED = 0, 1, 3, 4, 6, 7

POWER_NUMBERS: Final = {
    "running": RUNNING,
    "paused": PAUSED,
    "stopped": SHUTDOWN,
    "crashed": CRASHED,
    "suspended": SUSPENDED,
    "absent": NO_STATE,
}

# job kind -> (task_state by default, task_state by step)
_TASKS: Final[dict[str, tuple[str | None, dict[str, str | None]]]] = {
    "server.create": (
        "scheduling",
        {
            "volumes": "block_device_mapping",
            "reserve": "block_device_mapping",
            "ports": "networking",
            "wire": "networking",
            "domain": "spawning",
            "active": "spawning",
        },
    ),
    "server.delete": ("deleting", {}),
    "server.start": ("powering-on", {}),
    "server.stop": ("powering-off", {}),
    "server.reboot": ("rebooting", {"domain": "reboot_started"}),
    "server.reboot_hard": ("rebooting_hard", {"domain": "reboot_started_hard"}),
    "server.pause": ("pausing", {}),
    "server.unpause": ("unpausing", {}),
    "server.suspend": ("suspending", {}),
    "server.resume": ("resuming", {}),
    "server.rebuild": ("rebuilding", {"domain": "rebuild_spawning"}),
    "server.create_image": ("image_snapshot_pending", {"snapshot": "image_snapshot", "upload": "image_uploading"}),
    "server.resize": (
        "resize_prep",
        {"stop": "resize_migrating", "domain": "resize_finish", "resized": "resize_finish"},
    ),
    "server.confirm_resize": (None, {}),
    "server.revert_resize": ("resize_reverting", {}),
    "server.shelve": ("shelving", {"upload": "shelving_image_uploading", "offload": "shelving_offloading"}),
    "server.shelve_offload": ("shelving_offloading", {}),
    "server.unshelve": ("spawning", {}),
    "server.rescue": ("rescuing", {}),
    "server.unrescue": ("unrescuing", {}),
    "server.attach_volume": (None, {}),
    "server.detach_volume": (None, {}),
    "server.attach_interface": (None, {}),
    "server.detach_interface": (None, {}),
}

_REBUILDING = {
    "rebuilding": "REBUILD",
    "rebuild_block_device_mapping": "REBUILD",
    "rebuild_spawning": "REBUILD",
}
_RESIZING = {
    "resize_prep": "RESIZE",
    "resize_migrating": "RESIZE",
    "resize_migrated": "RESIZE",
    "resize_finish": "RESIZE",
}
# vm_state -> (status by default, status by task_state)
_STATUS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "active": (
        "ACTIVE",
        {
            "rebooting": "REBOOT",
            "reboot_pending": "REBOOT",
            "reboot_started": "REBOOT",
            "rebooting_hard": "HARD_REBOOT",
            "reboot_pending_hard": "HARD_REBOOT",
            "reboot_started_hard": "HARD_REBOOT",
            "updating_password": "PASSWORD",
            "migrating": "MIGRATING",
            **_REBUILDING,
            **_RESIZING,
        },
    ),
    "building": ("BUILD", {}),
    "stopped": ("SHUTOFF", {**_REBUILDING, **_RESIZING}),
    "resized": ("VERIFY_RESIZE", {"resize_reverting": "REVERT_RESIZE"}),
    "paused": ("PAUSED", {"migrating": "MIGRATING"}),
    "suspended": ("SUSPENDED", {}),
    "rescued": ("RESCUE", {}),
    "error": ("ERROR", dict(_REBUILDING)),
    "deleted": ("DELETED", {}),
    "soft-delete": ("SOFT_DELETED", {}),
    "shelved": ("SHELVED", {}),
    "shelved_offloaded": ("SHELVED_OFFLOADED", {}),
}


def task_state_of(kind: str | None, step: str | None) -> str | None:
    """The `task_state` that an active job stands for; None without a job or for a quiet one."""
    if kind is None:
        return None
    default, by_step = _TASKS.get(kind, (None, {}))
    return by_step.get(step, default) if step is not None else default


def status_of(vm_state: str, task_state: str | None) -> str:
    """The API's `status`."""
    default, by_task = _STATUS.get(vm_state, ("UNKNOWN", {}))
    return by_task.get(task_state, default) if task_state is not None else default


def states_of_status(statuses: list[str]) -> tuple[set[str], set[str | None]]:
    """(vm_states, task_states) that show as one of `statuses`; None in the second for "no matter which"."""
    wanted = {status.lower() for status in statuses}
    vm_states: set[str] = set()
    tasks: set[str | None] = set()
    for vm_state, (default, by_task) in _STATUS.items():
        if default.lower() in wanted:
            vm_states.add(vm_state)
            tasks.add(None)
        matching = {task for task, status in by_task.items() if status.lower() in wanted}
        if matching:
            vm_states.add(vm_state)
            tasks |= matching
    return vm_states, tasks


def kinds_of_tasks(tasks: set[str]) -> set[str]:
    """Job kinds that can show one of these task states."""
    return {kind for kind, (default, by_step) in _TASKS.items() if {default, *by_step.values()} & tasks}


def fault(code: int, message: str, created: str, details: str = "") -> dict[str, Any]:
    """The `fault` of a server in ERROR."""
    return {"code": code, "message": message, "created": created, "details": details}
