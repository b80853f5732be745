# SPDX-License-Identifier: Apache-2.0
"""What guests read about themselves: metadata service and config drive."""
