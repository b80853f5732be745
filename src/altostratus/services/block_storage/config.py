# SPDX-License-Identifier: Apache-2.0
"""Options of block storage."""

from typing import Annotated

from altostratus.kernel.config import Meta, Section


class BlockStorageOptions(Section, frozen=True, kw_only=True, name="block_storage"):
    """`[block_storage]` of the configuration file."""

    default_type: Annotated[str, Meta(description="volume type of volumes that ask for none")] = "__DEFAULT__"
    availability_zone: Annotated[str, Meta(description="availability zone of the storage hosts")] = "nova"
    volume_format: Annotated[str, Meta(description="qcow2 or raw", pattern="^(qcow2|raw)$")] = "qcow2"
    create_timeout_s: Annotated[int, Meta(description="longest time that filling a volume may take", ge=10)] = 7200
    delete_timeout_s: Annotated[int, Meta(description="time after which a deletion is tried again", ge=10)] = 600
    message_days: Annotated[int, Meta(description="days that messages to users are kept", ge=1)] = 30
