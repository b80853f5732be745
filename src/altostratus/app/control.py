# SPDX-License-Identifier: Apache-2.0
"""The control process: APIs, jobs, events, reconcilers. It drops its privileges before anything else."""

import os
import sys
from collections.abc import Callable, Iterable
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from altostratus.app import migrate
from altostratus.app.admin.service import SERVICE as ADMIN
from altostratus.app.assembly import assemble, seed
from altostratus.app.clients import Clients
from altostratus.app.disk_upkeep import DISK_UPKEEP
from altostratus.app.drivers import create_object_stores
from altostratus.app.files import ensure_passwords
from altostratus.app.host_link import HostLink
from altostratus.app.openapi import openapi_documents
from altostratus.app.options import CloudOptions, Paths, base_url
from altostratus.app.policy_files import PolicyOptions, PolicyPlaces
from altostratus.app.privileges import control_identity, drop_privileges
from altostratus.app.sections import load_settings
from altostratus.app.service_list import ALL_SERVICES
from altostratus.contracts.image_store import DiskInspector, ImageStore, StagingArea
from altostratus.contracts.object_peer import ObjectPeer
from altostratus.contracts.object_store import ObjectStore, StoragePolicies
from altostratus.drivers.image_store.file import FileImageStore
from altostratus.drivers.image_store.inspect.verdict import HeaderInspector
from altostratus.drivers.object_store.http_peer import HttpPeer
from altostratus.drivers.object_store.rados import RadosOptions
from altostratus.kernel import log, memory, processors
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.config import Settings
from altostratus.kernel.host_calls import HostCalls
from altostratus.kernel.http import build_app
from altostratus.kernel.policy_files import PolicyFileError
from altostratus.kernel.reconcilers import Reconciler, ReconcilerPool
from altostratus.services.identity import public as identity
from altostratus.services.object_store.public import settle_leftovers

_log = log.get("control")
_KEEP_S = 30 * 86400.0


def build() -> Callable[..., Iterable[bytes]]:
    """Everything of the control process; the factory that the HTTP server calls once in its worker."""
    memory.set_up()
    paths = Paths(Path(os.environ["ALTO_STATE"]))
    settings = load_settings(paths.config)
    options = settings[CloudOptions]
    log.set_up(options.log_level, str(paths.logs / "control.log") if os.environ.get("ALTO_LOG_FILE") else None)
    passwords = ensure_passwords(paths)
    drop_privileges(control_identity(options))
    os.umask(0o022)
    paths.control_pid.write_text(f"{os.getpid()}\n")
    migrate.upgrade(paths.database_url(options))
    cloud = assemble_all(settings, paths)
    unknown = cloud.jobs.unfinished_unknown_steps()
    if unknown:
        sys.exit(
            f"Unfinished jobs need steps that this release does not have: {', '.join(unknown)}. "
            "Finish them with the release that began them."
        )
    add_parts(cloud, paths)
    link = HostLink(cloud.desired, questions(cloud))
    cloud.add_part(HostLink, link)
    cloud.add_part(HostCalls, link)  # type: ignore[type-abstract]
    with cloud.db.write() as tx:
        identity.bootstrap(
            cloud,
            tx,
            admin_password=passwords["admin"],
            demo_password=passwords["demo"],
            base_url=base_url(options),
            region=options.region,
        )
    seed(cloud)
    start(cloud, link, paths)
    clients = Clients(build_app(cloud, openapi_documents(cloud)), options)
    clients.start()
    processors.start()
    return clients


def assemble_all(settings: Settings, paths: Paths) -> Cloud:
    """Every service; ends the process with a sentence when a policy file cannot be used."""
    try:
        return assemble(
            (*ALL_SERVICES, ADMIN),
            database_url=paths.database_url(settings[CloudOptions]),
            settings=settings,
            policy_places=PolicyPlaces(paths.policy, settings[PolicyOptions]),
            job_workers=settings[CloudOptions].job_workers,
        )
    except PolicyFileError as error:
        sys.exit(f"A policy file cannot be used; mend it or move it away. {error}")


def add_parts(cloud: Cloud, paths: Paths) -> None:
    cloud.add_part(Paths, paths)
    cloud.add_part(ImageStore, FileImageStore(str(paths.images)))  # type: ignore[type-abstract]
    cloud.add_part(DiskInspector, HeaderInspector())  # type: ignore[type-abstract]
    cloud.add_part(StagingArea, StagingArea(directory=str(paths.image_staging)))
    stores = create_object_stores(cloud[CloudOptions], cloud[RadosOptions], paths)
    cloud.add_part(ObjectStore, stores)  # type: ignore[type-abstract]
    cloud.add_part(StoragePolicies, stores)  # type: ignore[type-abstract]
    cloud.add_part(ObjectPeer, HttpPeer())  # type: ignore[type-abstract]
    cloud.authenticator = identity.TokenAuthenticator(cloud, paths.fernet_keys)


HOUSEKEEPING = (
    Reconciler("jobs.prune", 3600, lambda cloud: cloud.jobs.prune(_KEEP_S)),
    Reconciler("events.prune", 3600, lambda cloud: cloud.events.prune(_KEEP_S)),
)


def questions(cloud: Cloud) -> dict[str, Callable[[dict[str, Any]], dict[str, Any]]]:
    """What agents may ask, by name."""
    found: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}
    for service in cloud.all_services():
        for name, answer in service.questions:
            found[name] = lambda params, answer=answer: answer(cloud, params)  # type: ignore[misc]
    return found


def start(cloud: Cloud, link: HostLink, paths: Paths) -> None:
    """Threads: the agents' socket, job workers, events, reconcilers."""
    link.listen_unix(paths.host_socket)
    cloud.jobs.take_over()
    settle_leftovers(cloud)
    cloud.jobs.start_workers()
    cloud.events.start()
    own = [one for service in cloud.all_services() for one in service.reconcilers]
    pool = ReconcilerPool(cloud, [*own, *HOUSEKEEPING, *DISK_UPKEEP])
    pool.start()
    # a fork, as the HTTP server makes it, ends without `atexit`
    Finalize(None, pool.run_last, exitpriority=1)
    cloud.add_part(ReconcilerPool, pool)
    _log.info("the control process serves %d services", len(list(cloud.all_services())))
