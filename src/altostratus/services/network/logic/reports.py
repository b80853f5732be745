# SPDX-License-Identifier: Apache-2.0
"""What agents report of wanted rows, as statuses that people see."""

from typing import Any

from altostratus.kernel.cloud import Cloud
from altostratus.kernel.db import Tx, table_of
from altostratus.kernel.wanted import Report
from altostratus.services.network.logic import rows
from altostratus.services.network.models import FloatingIp


def router_observed(tx: Tx, cloud: Cloud, before: Any, report: Report) -> None:
    """A router that is as wanted leads its floating IPs; one that failed does not."""
    if before.spec is None or report.generation < before.generation:
        return
    fip = table_of(FloatingIp).c
    status = "ACTIVE" if report.error is None else "ERROR"
    rows.change_where(
        tx, FloatingIp, fip.router_id == before.id, fip.port_id.is_not(None), fip.status != status, status=status
    )
