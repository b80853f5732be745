# SPDX-License-Identifier: Apache-2.0
"""Tables of placement. Generations are compared and raised in the writer's transaction."""

from sqlalchemy import Index, String

from altostratus.kernel.db import Mapped, Model, mapped_column


class Provider(Model):
    """Something that has resources: a compute host, a shared storage pool."""

    __tablename__ = "resource_providers"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    generation: Mapped[int] = mapped_column(default=0)
    parent_id: Mapped[str | None]
    root_id: Mapped[str] = mapped_column(index=True)
    created_at: Mapped[str]
    updated_at: Mapped[str]


class InventoryRow(Model):
    __tablename__ = "inventories"
    provider_id: Mapped[str] = mapped_column(primary_key=True)
    resource_class: Mapped[str] = mapped_column(primary_key=True)
    total: Mapped[int]
    reserved: Mapped[int]
    min_unit: Mapped[int]
    max_unit: Mapped[int]
    step_size: Mapped[int]
    allocation_ratio: Mapped[float]


class Allocation(Model):
    __tablename__ = "allocations"
    __table_args__ = (Index("ix_allocations_provider", "provider_id", "resource_class"),)
    consumer_id: Mapped[str] = mapped_column(primary_key=True)
    provider_id: Mapped[str] = mapped_column(primary_key=True)
    resource_class: Mapped[str] = mapped_column(primary_key=True)
    used: Mapped[int]


class Consumer(Model):
    """Whoever has allocations; it exists exactly as long as it has some."""

    __tablename__ = "consumers"
    id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(index=True)
    user_id: Mapped[str]
    generation: Mapped[int] = mapped_column(default=0)
    consumer_type: Mapped[str] = mapped_column(default="INSTANCE")
    created_at: Mapped[str]
    updated_at: Mapped[str]


class ResourceClass(Model):
    """Custom classes; the standard ones are in `logic/standard.py`."""

    __tablename__ = "resource_classes"
    name: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[str]


class Trait(Model):
    """Custom traits."""

    __tablename__ = "traits"
    name: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[str]


class ProviderTrait(Model):
    __tablename__ = "resource_provider_traits"
    provider_id: Mapped[str] = mapped_column(primary_key=True)
    trait: Mapped[str] = mapped_column(primary_key=True, index=True)


class ProviderAggregate(Model):
    __tablename__ = "resource_provider_aggregates"
    provider_id: Mapped[str] = mapped_column(primary_key=True)
    aggregate_id: Mapped[str] = mapped_column(primary_key=True, index=True)
