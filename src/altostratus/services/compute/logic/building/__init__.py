# SPDX-License-Identifier: Apache-2.0
"""Checking a request for new servers, piece by piece, before anything is written."""
