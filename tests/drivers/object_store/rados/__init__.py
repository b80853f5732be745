# SPDX-License-Identifier: Apache-2.0
"""The object store in a Ceph pool."""
