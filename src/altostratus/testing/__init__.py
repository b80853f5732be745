# SPDX-License-Identifier: Apache-2.0
"""Public test kit: fakes, clock, power-cut tripper, conformance suites, personas."""
