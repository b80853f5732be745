# SPDX-License-Identifier: Apache-2.0
"""Network drivers: what turns a `NetworkWorld` into devices, filters and addresses."""
