# SPDX-License-Identifier: Apache-2.0
"""The HTTP face of compute: one file per resource."""
