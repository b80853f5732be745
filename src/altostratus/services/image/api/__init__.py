# SPDX-License-Identifier: Apache-2.0
"""Resources of the image API, a file each."""
