# SPDX-License-Identifier: Apache-2.0
"""Stores of image data (`contracts.image_store`), and the safe look into disk images."""
