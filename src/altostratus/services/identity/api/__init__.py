# SPDX-License-Identifier: Apache-2.0
"""Operations of the identity API, one file per resource."""
