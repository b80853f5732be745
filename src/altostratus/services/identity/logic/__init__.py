# SPDX-License-Identifier: Apache-2.0
"""Rules of identity: plain functions over a transaction."""
