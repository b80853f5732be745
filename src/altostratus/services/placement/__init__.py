# SPDX-License-Identifier: Apache-2.0
"""placement: what there is of everything, and who uses how much of it."""
