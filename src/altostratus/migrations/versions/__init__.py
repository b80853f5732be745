# SPDX-License-Identifier: Apache-2.0
"""The history, one file a step, in one line."""
