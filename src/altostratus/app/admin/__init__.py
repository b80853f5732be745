# SPDX-License-Identifier: Apache-2.0
"""`/alto/v1`: what only this cloud has. Jobs and traces, for administrators and the `alto` command."""
