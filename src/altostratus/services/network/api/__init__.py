# SPDX-License-Identifier: Apache-2.0
"""One file per resource of the Networking API: its declaration and its thin handlers."""
