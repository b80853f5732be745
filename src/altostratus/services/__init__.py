# SPDX-License-Identifier: Apache-2.0
"""One package per OpenStack service type."""
