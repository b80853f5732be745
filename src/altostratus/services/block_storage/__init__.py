# SPDX-License-Identifier: Apache-2.0
"""block_storage: volumes, snapshots of them, and who has them attached."""
