# SPDX-License-Identifier: Apache-2.0
"""Altostratus: a whole OpenStack cloud in one Python package."""
