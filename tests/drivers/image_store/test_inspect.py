# SPDX-License-Identifier: Apache-2.0
"""The look into disk images: real files made by qemu-img, crafted traps, and random bytes."""

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from altostratus.contracts.image_store import DiskFacts
from altostratus.drivers.image_store.inspect import StreamInspector, inspect_file, matches_declared, why_refused

MIB = 1 << 20
needs_qemu_img = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")


def look(content: bytes, chunk_bytes: int = 65536) -> DiskFacts:
    inspector = StreamInspector()
    for at in range(0, len(content), chunk_bytes):
        inspector.feed(content[at : at + chunk_bytes])
    return inspector.facts()


def make(path: Path, format: str, *options: str) -> Path:
    argv = ["qemu-img", "create", "-q", "-f", format, *options, str(path), "10M"]
    done, tries = subprocess.run(argv, capture_output=True, text=True, check=False), 1
    # LUKS measures the processor's speed first, and gives up on machines whose clocks are too coarse or busy
    while "Unable to" in done.stderr and tries < 12:
        done, tries = subprocess.run(argv, capture_output=True, text=True, check=False), tries + 1
    if "Unable to" in done.stderr:
        pytest.skip(f"qemu-img cannot make a LUKS image on this machine: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return path


@needs_qemu_img
@pytest.mark.parametrize(
    "format, options, expected",
    [
        ("raw", [], "raw"),
        ("qcow2", [], "qcow2"),
        ("qcow2", ["-o", "compat=0.10"], "qcow2"),
        ("qcow2", ["-o", "compression_type=zstd,extended_l2=on,cluster_size=128k,lazy_refcounts=on"], "qcow2"),
        ("vmdk", [], "vmdk"),
        ("vmdk", ["-o", "subformat=streamOptimized"], "vmdk"),
        ("vdi", [], "vdi"),
        ("vdi", ["-o", "static=on"], "vdi"),
        ("vpc", ["-o", "force_size=on"], "vhd"),
        ("vpc", ["-o", "subformat=fixed,force_size=on"], "vhd"),
        ("vhdx", [], "vhdx"),
    ],
)
def test_images_of_qemu_img_are_recognised(tmp_path: Path, format: str, options: list[str], expected: str) -> None:
    path = make(tmp_path / "image", format, *options)
    facts = inspect_file(str(path))
    assert facts == DiskFacts(format=expected, virtual_size_bytes=10 * MIB)
    assert why_refused(expected, facts) is None
    content = path.read_bytes()
    for chunk_bytes in (4096, 70001, len(content)):
        assert look(content, chunk_bytes) == facts


@needs_qemu_img
@pytest.mark.parametrize("subformat", ["monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"])
def test_vmdk_with_other_files_is_refused(tmp_path: Path, subformat: str) -> None:
    facts = inspect_file(str(make(tmp_path / "image.vmdk", "vmdk", "-o", f"subformat={subformat}")))
    assert (facts.format, "other files" in str(facts.unsafe)) == ("vmdk", True)


@needs_qemu_img
def test_qed_is_refused(tmp_path: Path) -> None:
    assert "QED" in str(inspect_file(str(make(tmp_path / "image", "qed"))).unsafe)


@needs_qemu_img
@pytest.mark.parametrize("format", ["qcow2", "vmdk"])
def test_backing_file_is_refused(tmp_path: Path, format: str) -> None:
    base = make(tmp_path / "base", format)
    facts = inspect_file(str(make(tmp_path / "image", format, "-b", str(base), "-F", format)))
    assert facts.unsafe is not None
    if format == "qcow2":
        assert facts.backing_file == str(base)
        assert "backing file" in str(why_refused("qcow2", facts))


@needs_qemu_img
def test_external_data_file_is_refused(tmp_path: Path) -> None:
    facts = inspect_file(str(make(tmp_path / "image", "qcow2", "-o", f"data_file={tmp_path}/data,data_file_raw=on")))
    assert facts.data_file == f"{tmp_path}/data"
    assert "another file" in str(facts.unsafe)


@needs_qemu_img
def test_encrypted_images(tmp_path: Path) -> None:
    secret = ["--object", "secret,id=s,data=secret"]
    luks = make(tmp_path / "luks", "luks", *secret, "-o", "key-secret=s,iter-time=50")
    assert inspect_file(str(luks)).format == "luks"
    qcow2 = make(
        tmp_path / "q", "qcow2", *secret, "-o", "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=50"
    )
    assert "encrypted" in str(inspect_file(str(qcow2)).unsafe)


def qcow2_header(*, version: int = 3, size: int = MIB, incompatible: int = 0, cluster_bits: int = 16) -> bytes:
    head = struct.pack(">4sIQIIQI", b"QFI\xfb", version, 0, 0, cluster_bits, size, 0) + bytes(36)
    return (head + struct.pack(">QQQII", incompatible, 0, 0, 4, 104)).ljust(65536, b"\0")


@pytest.mark.parametrize(
    "content, words",
    [
        (qcow2_header(size=1 << 62), "virtual size"),
        (qcow2_header(incompatible=1 << 40), "not known"),
        (qcow2_header(incompatible=1 << 1), "corrupt"),
        (qcow2_header(incompatible=1 << 2), "another file"),
        (qcow2_header(version=9), "version 9"),
        (qcow2_header(cluster_bits=40), "cluster size"),
        (b"QFI\xfb", "cut short"),
        (b"KDMV", "cut short"),
        (b"vhdxfile" + bytes(300000), "region table"),
        (qcow2_header()[: 32 << 10] + b"\x01CD001" + bytes(4096), "several formats"),
    ],
)
def test_traps(content: bytes, words: str) -> None:
    assert words in str(look(content).unsafe)


def partitioned(kind: int = 0x83) -> bytes:
    entry = struct.pack("<B3sB3sII", 0x80, b"\0\2\0", kind, b"\xff\xff\xff", 1, 2048)
    return bytes(446) + entry + bytes(48) + b"\x55\xaa" + bytes(65536)


def test_raw_kinds() -> None:
    assert look(partitioned()).format == "gpt"
    assert look(partitioned(0xEE)).format == "gpt"
    kernel = os.urandom(446) + b"\x37" * 64 + b"\x55\xaa" + bytes(4096)
    assert look(kernel).format == "raw"
    iso = bytes(32 << 10) + b"\x01CD001" + bytes(4096)
    hybrid = partitioned()[: 32 << 10] + iso[32 << 10 :]
    assert (look(iso).format, look(hybrid).format, look(hybrid).also) == ("iso", "iso", ("gpt",))
    assert why_refused("iso", look(hybrid)) is None


@pytest.mark.parametrize(
    "declared, found, expected",
    [
        ("raw", "raw", True),
        ("raw", "gpt", True),
        ("raw", "qcow2", False),
        ("raw", "vmdk", False),
        ("qcow2", "raw", False),
        ("qcow2", "qcow2", True),
        ("iso", "iso", True),
        ("iso", "raw", False),
        ("ami", "raw", True),
        ("aki", "gpt", True),
        ("ari", "qcow2", False),
        ("vhd", "vhd", True),
        ("ploop", "raw", True),
        ("ploop", "qcow2", False),
    ],
)
def test_declared(declared: str, found: str, expected: bool) -> None:
    facts = DiskFacts(format=found, virtual_size_bytes=1)
    assert matches_declared(declared, facts) is expected
    assert (why_refused(declared, facts) is None) is expected


def test_early_facts() -> None:
    inspector = StreamInspector()
    inspector.feed(qcow2_header()[:1000])
    assert inspector.early_facts() is None
    inspector.feed(qcow2_header()[1000:])
    facts = inspector.early_facts()
    assert facts is not None
    assert facts.format == "qcow2"
    raw = StreamInspector()
    raw.feed(bytes(1 << 20))
    assert raw.early_facts() is None


MAGICS = [b"", b"QFI\xfb\0\0\0\3", b"KDMV\1\0\0\0", b"COWD", b"QED\0", b"vhdxfile", b"conectix", b"LUKS\xba\xbe\0\1"]


@settings(max_examples=150, deadline=None)
@given(
    magic=st.sampled_from(MAGICS),
    body=st.binary(max_size=2048),
    gap=st.sampled_from([0, 1, 511, 4096, 32 << 10, 192 << 10]),
    tail=st.sampled_from(MAGICS),
    chunk_bytes=st.integers(1, 70000),
)
def test_random_bytes_never_break_it(magic: bytes, body: bytes, gap: int, tail: bytes, chunk_bytes: int) -> None:
    content = magic + body + bytes(gap) + tail + body
    facts = look(content, max(chunk_bytes, len(content) // 500 + 1))
    assert facts.format
    assert facts.virtual_size_bytes is None or facts.unsafe or facts.virtual_size_bytes <= 64 << 40
    why_refused("raw", facts)


@settings(max_examples=100, deadline=None)
@given(position=st.integers(0, 600), junk=st.binary(min_size=1, max_size=16), kind=st.sampled_from(["vhdx", "vmdk"]))
def test_damaged_tables_never_break_it(position: int, junk: bytes, kind: str) -> None:
    if kind == "vhdx":
        content = bytearray(
            b"vhdxfile".ljust(192 << 10, b"\0") + b"regi" + b"\xff" * (64 << 10) + b"metadata" + b"\xff" * 9999
        )
        at = (192 << 10) + position
    else:
        text = b'createType="monolithicSparse"\nRW 2048 SPARSE "x.vmdk"\n'
        head = struct.pack("<4sIIQQQQIQQ", b"KDMV", 1, 3, 2048, 128, 1, 20, 512, 0, 0)
        content = bytearray(head.ljust(512, b"\0") + text.ljust(10240, b"\0"))
        at = position
    content[at : at + len(junk)] = junk
    assert look(bytes(content)).format


def test_memory_of_a_stream_is_bounded() -> None:
    inspector = StreamInspector()
    inspector.feed(b"vhdxfile")
    for _ in range(32):
        inspector.feed(os.urandom(MIB))
    window = inspector._window
    assert len(window._head) + len(window._tail) <= 5 * MIB + 4096
    assert window.size == 32 * MIB + 8
