# SPDX-License-Identifier: Apache-2.0
"""Containers of objects of any size: Swift's API."""
