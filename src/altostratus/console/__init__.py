# SPDX-License-Identifier: Apache-2.0
"""The web console; speaks only the public HTTP APIs."""
