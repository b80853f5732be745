# SPDX-License-Identifier: Apache-2.0
"""How agents reach the control process: one protocol of length-prefixed JSON over a Unix socket or TLS."""
