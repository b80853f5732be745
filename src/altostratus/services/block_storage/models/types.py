# SPDX-License-Identifier: Apache-2.0
"""Volume types, who may use them, and QoS specs."""

from typing import Any

from altostratus.kernel.db import Json, Mapped, Model, mapped_column


class VolumeType(Model):
    """A kind of volume; extra specs choose the back end (`volume_backend_name`) and its capabilities."""

    __tablename__ = "volume_types"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str | None]
    is_public: Mapped[bool] = mapped_column(default=True)
    extra_specs: Mapped[dict[str, Any]]
    qos_specs_id: Mapped[str | None]
    encryption: Mapped[Any | None] = mapped_column(Json)
    created_at: Mapped[str]
    updated_at: Mapped[str | None]


class VolumeTypeProject(Model):
    """A project that may use a type that is not public."""

    __tablename__ = "volume_type_projects"
    volume_type_id: Mapped[str] = mapped_column(primary_key=True)
    project_id: Mapped[str] = mapped_column(primary_key=True)


class DefaultType(Model):
    """The type of volumes of a project that ask for none."""

    __tablename__ = "default_volume_types"
    project_id: Mapped[str] = mapped_column(primary_key=True)
    volume_type_id: Mapped[str]


class QosSpecs(Model):
    """Limits for volumes of the types it is associated with; `consumer` front-end, back-end or both."""

    __tablename__ = "quality_of_service_specs"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    consumer: Mapped[str]
    specs: Mapped[dict[str, Any]]
    created_at: Mapped[str]
