# SPDX-License-Identifier: Apache-2.0
"""Amazon's S3 API on the same containers (buckets) and objects."""
