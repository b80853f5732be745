# SPDX-License-Identifier: Apache-2.0
"""image: disk images that servers and volumes are made from."""
