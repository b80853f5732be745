# SPDX-License-Identifier: Apache-2.0
"""One folder per contract, one module or folder per implementation."""
