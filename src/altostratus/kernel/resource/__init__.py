# SPDX-License-Identifier: Apache-2.0
"""Resource declarations: fields, operations, versions, views, lists, OpenAPI."""
