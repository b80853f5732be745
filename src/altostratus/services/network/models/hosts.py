# SPDX-License-Identifier: Apache-2.0
"""What the network service remembers about hosts and their agents."""

from altostratus.kernel.db import Mapped, Model, mapped_column


class SyncedHost(Model):
    """A host that has been given all wanted rows once; from then on every change reaches it."""

    __tablename__ = "network_synced_hosts"
    host: Mapped[str] = mapped_column(primary_key=True)
    synced_at: Mapped[str]


class AgentSetting(Model):
    """What an administrator has set on an agent. `id` is derived from host and binary."""

    __tablename__ = "network_agent_settings"
    id: Mapped[str] = mapped_column(primary_key=True)
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    description: Mapped[str | None]
