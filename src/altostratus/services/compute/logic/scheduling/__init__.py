# SPDX-License-Identifier: Apache-2.0
"""The scheduler: small pure filters and weighers over host states."""
