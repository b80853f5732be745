# SPDX-License-Identifier: Apache-2.0
"""What happens to volumes and snapshots after the request."""
