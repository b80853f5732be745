# SPDX-License-Identifier: Apache-2.0
"""Puts the cloud together: settings and services in, a `Cloud` and its WSGI application out."""

from collections.abc import Iterable

from altostratus.app.options import CloudOptions
from altostratus.app.policy_files import PolicyPlaces
from altostratus.kernel.bus import Bus, LocalBus
from altostratus.kernel.cloud import Cloud
from altostratus.kernel.config import Settings
from altostratus.kernel.db import Db
from altostratus.kernel.desired import Desired
from altostratus.kernel.events import Events
from altostratus.kernel.jobs import Jobs
from altostratus.kernel.policy import Policy
from altostratus.kernel.quota import LimitSource, QuotaOptions, Quotas
from altostratus.kernel.resource.service import Service
from altostratus.kernel.together import WritesTogether
from altostratus.services.identity.config import IdentityOptions
from altostratus.services.identity.public import UnifiedLimits


def assemble(
    services: Iterable[Service],
    *,
    database_url: str,
    settings: Settings | None = None,
    policy_places: PolicyPlaces | None = None,
    bus: Bus | None = None,
    job_workers: int = 4,
) -> Cloud:
    """A cloud with these services; drivers and the authenticator are given afterwards.

    Raises PolicyFileError when an operator's policy file cannot be used.
    """
    bus = bus or LocalBus()
    db = Db(database_url, bus=bus)
    cloud = Cloud(db, bus, settings or Settings())
    cloud.desired = Desired(db)
    cloud.events = Events(db)
    cloud.add_part(WritesTogether, WritesTogether(db))
    cloud.jobs = Jobs(db, cloud.desired, cloud, workers=job_workers)
    for service in services:
        policy = Policy(service.declared_rules(), policy_places.of(service) if policy_places else ())
        cloud.add_service(service, policy, Quotas(service.type, service.quotas, source=_limit_source(service, cloud)))
        for job in service.jobs:
            cloud.jobs.register(job)
        for prefix, subscriber in service.subscriptions:
            cloud.events.subscribe(f"{service.type}:{subscriber.__name__}", prefix, _bound(cloud, subscriber))
        for kind, on_report in service.reports:
            cloud.desired.on_report(kind, _bound_report(cloud, on_report))
    return cloud


def seed(cloud: Cloud) -> None:
    """Default rows of every service, in one transaction; does nothing where they exist."""
    with cloud.db.write() as tx:
        for service in cloud.all_services():
            for plant in service.seeds:
                plant(tx, cloud)


def _limit_source(service: Service, cloud: Cloud) -> LimitSource | None:
    """Who keeps the service's limits in its place."""
    if cloud[QuotaOptions].driver == "own":
        return None
    return UnifiedLimits(service, cloud[CloudOptions].region, cloud[IdentityOptions])


def _bound(cloud: Cloud, subscriber):  # type: ignore[no-untyped-def]
    return lambda tx, event: subscriber(tx, cloud, event)


def _bound_report(cloud: Cloud, on_report):  # type: ignore[no-untyped-def]
    return lambda tx, row, report: on_report(tx, cloud, row, report)
