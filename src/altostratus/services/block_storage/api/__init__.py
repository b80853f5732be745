# SPDX-License-Identifier: Apache-2.0
"""Resources of the block storage API, a file each."""
