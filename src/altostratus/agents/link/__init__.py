# SPDX-License-Identifier: Apache-2.0
"""The agent's side of HostApi: transports to the control process."""
