# SPDX-License-Identifier: Apache-2.0
"""Domains whose users come from a directory."""
