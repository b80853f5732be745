# SPDX-License-Identifier: Apache-2.0
"""Tests on real machines of a real cloud: need root, QEMU and network namespaces."""
