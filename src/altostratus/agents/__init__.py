# SPDX-License-Identifier: Apache-2.0
"""What runs beside the hardware: they read wanted rows, drive drivers and report."""
