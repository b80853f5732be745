# SPDX-License-Identifier: Apache-2.0
"""`alto demo`: the main job of a cloud, done through the public APIs, step by step, for everybody to see."""

from altostratus.cli.demo.command import demo

__all__ = ["demo"]
