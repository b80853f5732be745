# SPDX-License-Identifier: Apache-2.0
"""What of OpenStack's APIs and of its command-line client works here, found out by doing it."""
