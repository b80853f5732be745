# SPDX-License-Identifier: Apache-2.0
"""`alto ring`: which disks keep the copies of objects, how they are spread, and looking after them."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from altostratus.app import object_disks
from altostratus.cli.place import find_place, running_pid
from altostratus.cli.screen import err, fail, out, say
from altostratus.drivers.object_store import policies
from altostratus.drivers.object_store.embedded import EmbeddedStore, quarantine, ring, upkeep
from altostratus.drivers.object_store.embedded.ring import RingError
from altostratus.drivers.object_store.embedded.store import REPLICAS
from altostratus.drivers.object_store.policies import PolicyError, PolicyStores

app = typer.Typer(help="The disks of the object store: where copies lie; mend them.", no_args_is_help=True)
Directory = Annotated[str, typer.Argument(help="directory of the disk, as `alto ring show` names it")]
Once = Annotated[bool, typer.Option("--once/--for-ever", help="one pass, or one after the other until Ctrl-C")]
OfPolicy = Annotated[str, typer.Option("--policy", help="storage policy whose ring it is; without it, the default's")]
Gently = Annotated[bool, typer.Option("--gently/--fast", help="rest most of the time, so that clients do not wait")]
_BAR = 24
_BETWEEN_S = 60.0


@app.command()
def create(
    disks: Annotated[list[str], typer.Argument(help="directories, each best on a disk of its own")],
    replicas: Annotated[int, typer.Option(help="copies of each object, as far as there are disks")] = REPLICAS,
    part_power: Annotated[int, typer.Option(help="2**power partitions; about 100 for each disk there will be")] = 10,
    policy: Annotated[str, typer.Option(help="storage policy whose ring it is; a new name makes a new policy")] = "",
) -> None:
    """Begin with a new ring. Refused when anything is stored: then change the present ring."""
    paths, _ = find_place()
    with _stores() as stores:
        if policy and not policies.is_known(stores.policies(), policy):
            made = object_disks.create_policy(stores, paths, policy, disks, part_power=part_power, replicas=replicas)
        elif running_pid(paths) is not None:
            fail("an upload could come in between. Stop the cloud first: alto down, or change the ring with add.")
        else:
            store = object_disks.ring_of(stores, policy)
            made = object_disks.create_ring(store, disks, part_power=part_power, replicas=replicas)
    say(f"{made.partitions} partitions in {len(made.assignment)} copies on {len(disks)} disks. See: alto ring show")


@app.command()
def add(
    disk: Annotated[str, typer.Argument(help="directory, best on a disk of its own")],
    zone: Annotated[int, typer.Option(help="disks that may fail together; 0: a zone of its own")] = 0,
    weight: Annotated[float, typer.Option(help="share of the partitions, such as the disk's size")] = 100.0,
    take: Annotated[bool, typer.Option("--take", help="with the copies that another ring kept there")] = False,
    policy: OfPolicy = "",
) -> None:
    """Add a disk. It takes partitions after: alto ring rebalance"""

    def change(before: ring.Ring) -> ring.Ring:
        own_zone = 1 + max((device.zone for device in before.devices), default=0)
        return object_disks.add_disk(before, disk, zone or own_zone, weight, former=before, take=take)

    with _store(policy) as store:
        store.alter_ring(change)
    say("The disk is in the ring. Give it its share with: alto ring rebalance")


@app.command("set-weight")
def set_weight(
    disk: Directory, weight: Annotated[float, typer.Argument(help="0 empties the disk")], policy: OfPolicy = ""
) -> None:
    """Give a disk more or less. In force after: alto ring rebalance"""
    with _store(policy) as store:
        store.alter_ring(lambda before: ring.set_weight(before, disk, weight))
    say("The weight is changed. Move partitions with: alto ring rebalance")


@app.command()
def remove(
    disk: Directory,
    lost: Annotated[bool, typer.Option("--lost", help="though it has copies: they cannot be read any longer")] = False,
    policy: OfPolicy = "",
) -> None:
    """Take a disk that is empty or lost out of the ring; the others take its partitions."""
    with _store(policy) as store:
        object_disks.remove_disk(store, disk, lost=lost)
    say("The disk is out of the ring. Missing copies are made by the cloud, or at once by: alto ring replicate")


@app.command()
def accept(disk: Directory, policy: OfPolicy = "") -> None:
    """Say that what is mounted there now, or is not, is the right disk; nothing is written to it before."""
    with _store(policy) as store:
        object_disks.accept_disk(store, disk)
    say("The disk is used again. Missing copies are made by the cloud, or at once by: alto ring replicate")


@app.command()
def rebalance(policy: OfPolicy = "") -> None:
    """Spread partitions by weights and zones, moving as few as possible."""
    moved = 0

    def change(before: ring.Ring) -> ring.Ring:
        nonlocal moved
        after, moved = ring.rebalance(before)
        return after

    with _store(policy) as store:
        store.alter_ring(change)
    say(f"{moved} copies of partitions move. The cloud does it by and by; at once: alto ring replicate")


@app.command()
def show(as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False, policy: OfPolicy = "") -> None:
    """Draw how partitions spread over the disks, and how the disks are doing."""
    with _store(policy) as store:
        seen = object_disks.picture(store)
    if as_json:
        out.print_json(json.dumps(seen))
        return
    _draw(seen)


@app.command()
def replicate(once: Once = True, gently: Gently = False) -> None:
    """Give every disk the copies that it should have, and empty the others of them."""
    _passes("replicating", upkeep.replicate, once, gently)


@app.command()
def audit(once: Once = True, gently: Gently = False) -> None:
    """Read every copy; damaged ones go into quarantine and are replaced."""
    _passes("auditing", upkeep.audit, once, gently)


@app.command("policies")
def list_policies() -> None:
    """Storage policies: ways of keeping objects that containers choose from, each with a ring of its own."""
    with _stores() as stores:
        table = Table("policy", "aliases", "state", "copies", "disks")
        for policy, store in object_disks.rings_of(stores):
            state = "default" if policy.default else "deprecated" if policy.deprecated else "offered"
            copies = f"{len(store.ring.assignment)} of {store.ring.replicas}"
            table.add_row(policy.name, ", ".join(policy.aliases), state, copies, str(len(store.ring.devices)))
    out.print(table)
    say("Another one: alto ring create --policy NAME DIRECTORY...")


@app.command("set-policy")
def set_policy(
    name: Annotated[str, typer.Argument(help="name or alias of a storage policy")],
    default: Annotated[bool, typer.Option("--default", help="for containers that do not say which")] = False,
    deprecated: Annotated[bool | None, typer.Option(help="takes no new containers; the others stay")] = None,
    alias: Annotated[str, typer.Option(help="another name")] = "",
    rename: Annotated[str, typer.Option(help="a new name; the former one is left as an alias")] = "",
) -> None:
    """Change how a storage policy is called and offered; at once, also in a running cloud."""

    def change(present: policies.Policies) -> policies.Policies:
        if deprecated is not None:
            present = policies.with_deprecated(present, name, deprecated)
        if default:
            present = policies.with_default(present, name)
        if alias:
            present = policies.with_alias(present, name, alias)
        return policies.renamed(present, name, rename) if rename else present

    with _stores() as stores:
        stores.alter(change)
    say("The storage policy is changed. See: alto ring policies")


@app.command("quarantine")
def show_quarantine(
    purge: Annotated[bool, typer.Option("--purge", help="delete those whose blob has another copy")] = False,
    everything: Annotated[bool, typer.Option("--all", help="with --purge: the last that is left of blobs too")] = False,
) -> None:
    """List damaged copies that were set aside. The cloud deletes them after 30 days if nobody can want them."""
    with _stores() as stores:
        rings = [store for _, store in object_disks.rings_of(stores)]
        if purge:
            gone = sum(quarantine.purge(store, lambda copy: not (copy.elsewhere or everything)) for store in rings)
            say(f"{gone} damaged copies are deleted")
        table = Table("disk", "blob", "bytes", "days ago", "another copy")
        for copy in [copy for store in rings for copy in quarantine.set_aside(store)]:
            days, other = f"{copy.age_s / 86400:.1f}", "yes" if copy.elsewhere else "[red]no[/red]"
            table.add_row(str(copy.disk.path), copy.blob_id, str(copy.size), days, other)
        out.print(table)


def _draw(seen: dict[str, Any]) -> None:
    most = max((disk["partitions"] for disk in seen["disks"]), default=0) or 1
    table = Table("disk", "zone", "weight", "partitions held", "", "expected", "free", "state")
    for disk in seen["disks"]:
        bar = "█" * round(_BAR * disk["partitions"] / most)
        table.add_row(
            disk["path"], str(disk["zone"]), f"{disk['weight']:g}", bar.ljust(_BAR, "·"), str(disk["partitions"]),
            f"{disk['expected']:g}", _room(disk), _state(disk),
        )  # fmt: skip
    out.print(
        f"{seen['partitions']} partitions (2^{seen['part_power']}), {seen['copies']} of {seen['replicas']} copies"
    )
    out.print(table)
    for zones, count in seen["zones_per_partition"].items():
        out.print(f"{count} partitions lie in {zones} zone{'s' if zones != 1 else ''}")
    if seen["copies"] < seen["replicas"]:
        say(f"More disks make more copies than {seen['copies']}: alto ring add DIRECTORY, then alto ring rebalance")


def _room(disk: dict[str, Any]) -> str:
    if disk["free_bytes"] is None:
        return "?"
    return f"{disk['free_bytes'] / 2**30:.1f} of {disk['total_bytes'] / 2**30:.1f} GiB"


def _state(disk: dict[str, Any]) -> str:
    if disk["trouble"]:
        return f"[red]does not work: {disk['trouble']}[/red]"
    return f"[yellow]{disk['quarantined']} in quarantine[/yellow]" if disk["quarantined"] else "good"


def _passes(words: str, work: Callable[..., upkeep.Tally], once: bool, gently: bool) -> None:
    with _stores() as stores:
        while True:
            failed = 0
            for policy, store in object_disks.rings_of(stores):
                tally = _one_pass(words, work, store, upkeep.Pace(object_disks.SHARE if gently else 1.0))
                failed += tally.failed
                say(
                    f"{words} {policy.name}: {tally.looked_at} looked at, {tally.copied} copied, "
                    f"{tally.removed} moved away, {tally.damaged} damaged, {tally.failed} failed"
                )
            if once:
                raise typer.Exit(1 if failed else 0)
            time.sleep(_BETWEEN_S)


def _one_pass(words: str, work: Callable[..., upkeep.Tally], store: EmbeddedStore, pace: upkeep.Pace) -> upkeep.Tally:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
        bar = bars.add_task(words)
        return work(store, lambda done, whole: bars.update(bar, completed=done, total=whole), pace)


@contextmanager
def _store(policy: str) -> Iterator[EmbeddedStore]:
    with _stores() as stores:
        yield object_disks.ring_of(stores, policy)


@contextmanager
def _stores() -> Iterator[PolicyStores]:
    """The stores of this cloud; what is refused ends the command with its sentence."""
    paths, options = find_place()
    try:
        yield object_disks.open_stores(paths, options)
    except (RingError, PolicyError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or 'the ring'}: {error.strerror}. See: alto ring show")
