# SPDX-License-Identifier: Apache-2.0
"""What others have defined, tried on a whole cloud."""
