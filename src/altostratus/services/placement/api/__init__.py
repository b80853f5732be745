# SPDX-License-Identifier: Apache-2.0
"""Resources of the placement API, a file each."""
