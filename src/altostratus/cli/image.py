# SPDX-License-Identifier: Apache-2.0
"""`alto image build`: the tiny guest that every first server boots."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from altostratus.app.mini_image import MINI_NAME, build_if_missing, mini_image_path
from altostratus.app.options import CloudOptions, Paths
from altostratus.cli.api_client import Client
from altostratus.cli.screen import err, fail, say
from altostratus.guest_image import GuestImageError, build_mini_image

app = typer.Typer(help="Images that this machine can make itself.", no_args_is_help=True)


def kernel_directory() -> str | None:
    """Where the bootstrap has unpacked a guest kernel, if it did."""
    found = Path(sys.prefix) / "share" / "altostratus" / "guest-kernel"
    return str(found) if found.exists() else None


def _show_progress(text: str, part: float) -> None:
    say(f"  {100 * part:3.0f} % {text}")


@app.command()
def build(
    name: Annotated[str, typer.Argument(help="which image; there is one: mini")] = "mini",
    output: Annotated[Path, typer.Option("--output", "-o", help="file to write")] = Path("mini.qcow2"),
) -> None:
    """Build the mini image (about 20 MB, CirrOS-like: user cirros, password gocubsgo)."""
    if name != "mini":
        fail(f"there is no image {name}; the one that can be built is: mini")
    try:
        made = build_mini_image(str(output), kernel_directory(), progress=_show_progress)
    except GuestImageError as error:
        fail(str(error))
    say(f"{output}: {made.size_bytes / 2**20:.1f} MiB, version {made.version}")
    say(f"openstack image create --file {output} --disk-format qcow2 --container-format bare mini")


def ensure_mini_image(paths: Paths, path: Path) -> None:
    """The image as a file at `path`, built now unless it is there."""
    if path.exists():
        return
    try:
        with err.status("building the mini image ..."):
            build_if_missing(paths, kernel_directory(), copy_to=path)
    except GuestImageError as error:
        fail(str(error))


def register_mini_image(paths: Paths, options: CloudOptions) -> None:
    """Make the public image `mini` at first start, through the image API, so that a first server needs no download."""
    client = Client(paths, options, "admin")
    found = client.find("image", "/images", "images", MINI_NAME)
    if found is not None and found["status"] == "active":
        return
    path = mini_image_path(paths)
    ensure_mini_image(paths, path)
    if found is None:
        wanted = {
            "name": MINI_NAME,
            "disk_format": "qcow2",
            "container_format": "bare",
            "visibility": "public",
            "min_ram": 96,
            "os_distro": "altostratus-mini",
        }
        found = client.call("POST", "image", "/images", wanted)
    with err.status("registering the image `mini` ..."):
        client.upload(found["id"], path)
