# SPDX-License-Identifier: Apache-2.0
"""What happens to image data after the request."""
