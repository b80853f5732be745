# SPDX-License-Identifier: Apache-2.0
"""Tokens: keys, layout, passwords, and the authenticator that every service asks."""
