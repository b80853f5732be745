# SPDX-License-Identifier: Apache-2.0
"""What takes time: building, deleting and changing servers, as jobs."""
