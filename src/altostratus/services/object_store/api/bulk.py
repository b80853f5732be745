# SPDX-License-Identifier: Apache-2.0
"""Many at once: deleting a list of paths, unpacking an archive. The answer counts, and lists what failed."""

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, cast
from urllib.parse import quote, unquote

import msgspec

from altostratus.kernel.db import Tx
from altostratus.kernel.errors import ApiError, BadRequest, NotFound, TooLarge
from altostratus.kernel.resource.call import Call
from altostratus.kernel.resource.operations import Reply
from altostratus.services.object_store.api import peers, versions
from altostratus.services.object_store.api.listings import format_of
from altostratus.services.object_store.api.pace import pace_account
from altostratus.services.object_store.api.visits import (
    Place,
    container_for,
    demand_not_denied,
    demand_owner,
    finished,
    writes_of,
)
from altostratus.services.object_store.errors import not_found
from altostratus.services.object_store.logic import containers, objects
from altostratus.services.object_store.logic.bucket_policies import Wish
from altostratus.services.object_store.logic.contents import named
from altostratus.services.object_store.logic.notices import tell_deleted
from altostratus.services.object_store.reconcilers.waste import TOPIC as WASTE

MOST_DELETES = 10_000
MOST_PATH = 3 * 1400
_MOST_FAILURES = 1000
_AT_ONCE = 100
# deletes something in a transaction
Removal = Callable[[Tx], objects.Deleted]


@dataclass(slots=True)
class Outcome:
    """What became of a list of paths. `done` is counted as `counted_as`; errors are (path, status)."""

    counted_as: str
    done: int = 0
    missing: int | None = None
    errors: list[tuple[str, str]] = field(default_factory=list)

    def note(self, path: str, error: ApiError | None) -> None:
        """Raises BadRequest when it goes on and on."""
        if error is None:
            self.done += 1
        elif isinstance(error, NotFound) and self.missing is not None:
            self.missing += 1
        else:
            self.errors.append((path, f"{error.status} {error.title}"))
            if len(self.errors) > _MOST_FAILURES:
                raise BadRequest(f"More than {_MOST_FAILURES} paths failed; the others were not tried.")

    def reply(self, form: str) -> Reply:
        status = "400 Bad Request" if self.errors else "200 OK"
        shown: dict[str, Any] = {self.counted_as: self.done}
        if self.missing is not None:
            shown["Number Not Found"] = self.missing
        shown |= {"Response Status": status, "Response Body": "", "Errors": [list(error) for error in self.errors]}
        if form == "json":
            return finished(Reply(200, msgspec.json.encode(shown), content_type="application/json"))
        lines = [f"{name}: {value}" for name, value in shown.items() if name != "Errors"]
        lines += ["Errors:", *(f"{path}, {why}" for path, why in self.errors)]
        return finished(Reply(200, ("\n".join(lines) + "\n").encode(), content_type="text/plain"))


def delete_many(call: Call, account: str) -> Reply:
    """`?bulk-delete`: a path a line, percent-encoded; `/container` or `/container/object`."""
    outcome = Outcome("Number Deleted", missing=0)
    batch: list[tuple[str, Place]] = []
    for count, text in enumerate(_lines(call)):
        if count == MOST_DELETES:
            raise TooLarge(f"At most {MOST_DELETES} paths are deleted at once.")
        container, _, name = unquote(text.strip()).lstrip("/").partition("/")
        batch.append((text, Place(account, container, name)))
        if len(batch) == _AT_ONCE:
            _delete_batch(call, outcome, batch)
            batch = []
    _delete_batch(call, outcome, batch)
    call.cloud.bus.wake(WASTE)
    return outcome.reply(format_of(call))


def delete_with_segments(call: Call, place: Place) -> Reply:
    """A static large object, its segments first."""
    container = container_for(call, place, "delete")
    with call.cloud.db.read() as tx:
        row = versions.find(tx, container, place)
    if row is None:
        raise not_found("object", place.name)
    if row.segments is None:
        raise BadRequest("Not an SLO manifest: delete the object without multipart-manifest.")
    outcome = Outcome("Number Deleted", missing=0)
    segments = [Place(place.account, container_name, name) for container_name, name in named(row.segments)]
    wanted = [(quote(f"/{one.container}/{one.name}"), one) for one in dict.fromkeys((*segments, place))]
    for start in range(0, len(wanted), _AT_ONCE):
        _delete_batch(call, outcome, wanted[start : start + _AT_ONCE])
    call.cloud.bus.wake(WASTE)
    return outcome.reply(format_of(call))


def delete_at(call: Call, place: Place) -> dict[str, str]:
    """The object or a version of it, or the container if no object is named. Whoever calls it wakes the waste.

    Returns headers that tell of versions.
    """
    deleted = writes_of(call).run(_removal(call, place))
    told = versions.told_deleted(deleted)
    if not deleted.found:
        raise not_found("object", place.name, headers=told)
    return told


def _delete_batch(call: Call, outcome: Outcome, wanted: list[tuple[str, Place]]) -> None:
    """In one transaction; each path is deleted or refused on its own."""
    removals: list[tuple[str, Removal]] = []
    for path, place in wanted:
        try:
            removals.append((path, _removal(call, place)))
        except ApiError as error:
            outcome.note(path, error)

    def remove(tx: Tx) -> list[tuple[str, ApiError | None]]:
        return [(path, _tried(tx, removal)) for path, removal in removals]

    for path, refusal in writes_of(call).run(remove) if removals else ():
        outcome.note(path, refusal)


def _tried(tx: Tx, removal: Removal) -> ApiError | None:
    try:
        with tx.savepoint():
            return None if removal(tx).found else NotFound("There is no such object.")
    except ApiError as error:
        return error


def _removal(call: Call, place: Place) -> Removal:
    """What deletes it. Raises what a caller is told who may not."""
    return _removal_of_object(call, place) if place.name else _removal_of_container(call, place)


def _removal_of_object(call: Call, place: Place) -> Removal:
    container = container_for(call, place, "delete")
    if place.version:
        return versions.removal(container, place)
    demand = peers.newer_only(call, container, place.name)

    def remove(tx: Tx) -> objects.Deleted:
        demand(tx)
        return objects.delete(tx, container, place.name, moment_us=peers.moment_us(call))

    return remove


def _removal_of_container(call: Call, place: Place) -> Removal:
    visitor = demand_owner(call, place)
    pace_account(call, place.account)

    def remove(tx: Tx) -> objects.Deleted:
        row = containers.find(tx, place.account, place.container)
        if row is None:
            raise not_found("container", place.container)
        demand_not_denied(call, visitor, row, Wish("DeleteBucket"))
        objects.drop_expired(tx, row)
        containers.delete(tx, row)
        tell_deleted(tx, call.cloud, row)
        return objects.Deleted(found=True)

    return remove


def _lines(call: Call) -> Iterator[str]:
    rest = b""
    while data := call.stream.read(65_536):
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > MOST_PATH:
            raise BadRequest(f"A path has more than {MOST_PATH} bytes.")
        yield from (line.decode("utf-8", "replace") for line in lines if line.strip())
    if rest.strip():
        yield rest.decode("utf-8", "replace")


# archives


class _Stream:
    """A request's body for tarfile."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        return cast("bytes", self._stream.read(65_536 if size < 0 else size))


def extract(call: Call, place: Place, kind: str, put: Callable[[Place, Any, int], None]) -> Reply:
    """`?extract-archive=tar[.gz|.bz2]`: each file becomes an object below the path; `put(place, stream, size)`."""
    modes: dict[str, Literal["r|", "r|gz", "r|bz2"]] = {"tar": "r|", "tar.gz": "r|gz", "tar.bz2": "r|bz2"}
    if kind not in modes:
        raise BadRequest(f"Unsupported archive format {kind!r}. Known: {', '.join(modes)}.")
    outcome = Outcome("Number Files Created")
    try:
        with tarfile.open(fileobj=cast("Any", _Stream(call.stream)), mode=modes[kind]) as archive:
            for member in archive:
                source = archive.extractfile(member) if member.isfile() else None
                if source is not None:
                    target, path = _target(place, member.name)
                    outcome.note(path, _refusal_of(put, target, source, member.size))
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BadRequest(f"Invalid archive: {error}") from None
    call.cloud.bus.wake(WASTE)
    return outcome.reply(format_of(call))


def _refusal_of(put: Callable[[Place, Any, int], None], target: Place, source: Any, size: int) -> ApiError | None:
    try:
        put(target, source, size)
    except ApiError as error:
        return error
    return None


def _target(place: Place, member: str) -> tuple[Place, str]:
    inside = "/".join(part for part in member.split("/") if part not in ("", ".", ".."))
    whole = "/".join(part for part in (place.container, place.name.rstrip("/"), inside) if part)
    container, _, name = whole.partition("/")
    return Place(place.account, container, name), f"/{whole}"
