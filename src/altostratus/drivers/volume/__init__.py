# SPDX-License-Identifier: Apache-2.0
"""Back ends of volumes (`contracts.volume`)."""
