# SPDX-License-Identifier: Apache-2.0
"""Servers: the resource, its actions and its sub-resources."""
