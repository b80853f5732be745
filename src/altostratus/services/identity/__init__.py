# SPDX-License-Identifier: Apache-2.0
"""Identity (Keystone v3): who may do what, where."""
