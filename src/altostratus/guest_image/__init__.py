# SPDX-License-Identifier: Apache-2.0
"""The mini image: a tiny bootable guest built from packages of the host's own distribution.

A qcow2 of about 20 MB that boots by BIOS and UEFI and has the habits of CirrOS: user `cirros`, password
`gocubsgo`, `sudo`, keys and user data from metadata. What runs inside stands as plain files in `files/`.
"""

from altostratus.guest_image.build import MiniImage, build_mini_image, mini_image_version
from altostratus.guest_image.kernel import GuestImageError, GuestKernel, find_kernel

__all__ = ["GuestImageError", "GuestKernel", "MiniImage", "build_mini_image", "find_kernel", "mini_image_version"]
