# SPDX-License-Identifier: Apache-2.0
"""What runs beside the disks: makes volumes and snapshots as they are wanted."""
