# SPDX-License-Identifier: Apache-2.0
"""The shared floor under every service. Knows no service by name."""
