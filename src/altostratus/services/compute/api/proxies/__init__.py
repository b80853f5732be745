# SPDX-License-Identifier: Apache-2.0
"""What compute once did and passes on since: images, networks, floating IPs, security groups; gone since 2.36."""
