# SPDX-License-Identifier: Apache-2.0
"""Does the content keep what `disk_format` promises? The same answers as the image service upstream gives."""

from altostratus.contracts.image_store import DiskFacts

_ACCEPTED: dict[str, frozenset[str]] = {
    "raw": frozenset({"raw", "gpt"}),
    "gpt": frozenset({"gpt"}),
    "ami": frozenset({"raw", "gpt", "iso"}),
    "ari": frozenset({"raw", "gpt", "iso"}),
    "aki": frozenset({"raw", "gpt", "iso"}),
    "iso": frozenset({"iso"}),
    "qcow2": frozenset({"qcow2"}),
    "vmdk": frozenset({"vmdk"}),
    "vdi": frozenset({"vdi"}),
    "vhd": frozenset({"vhd"}),
    "vhdx": frozenset({"vhdx"}),
    "luks": frozenset({"luks"}),
}


def matches_declared(declared_format: str, facts: DiskFacts) -> bool:
    """Whether content with these facts may be called `declared_format`.

    Formats that are not known here (`ploop`) cannot be checked, so anything may be called that which
    is not recognised as something else.
    """
    if declared_format not in _ACCEPTED:
        return facts.format == "raw"
    return facts.format in _ACCEPTED[declared_format]


def why_refused(declared_format: str, facts: DiskFacts) -> str | None:
    """None if the content may be used under the declared format, else a sentence for people."""
    if facts.unsafe is not None:
        return f"The image is refused: {facts.unsafe}."
    if matches_declared(declared_format, facts):
        return None
    found = "of no known format" if facts.format == "raw" else f"of format '{facts.format}'"
    return (
        f"The image is declared as '{declared_format}' but its content is {found}. "
        f"Set disk_format to what 'qemu-img info' says of the file, or convert it."
    )
