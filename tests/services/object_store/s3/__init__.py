# SPDX-License-Identifier: Apache-2.0
"""Tests of S3, by Amazon's own client."""
