# SPDX-License-Identifier: Apache-2.0
"""The guest's readers of JSON and YAML, run by busybox's awk on the host."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

FILES = Path(__file__).parents[2] / "src" / "altostratus" / "guest_image" / "files" / "root" / "usr" / "lib" / "guest"
pytestmark = pytest.mark.skipif(shutil.which("busybox") is None, reason="busybox is not installed")

CLOUD_CONFIG = r"""#cloud-config
# a comment
users:
  - default
  - name: foobar
    gecos: "Foo: B. #Bar"
    passwd: $6$j212wezy$7H/1LT4f9/N3w
    ssh_authorized_keys: [ssh-rsa AAAA one, "ssh-ed25519 BBBB two, three"]
  -
    name: 'it''s'
groups:
- ubuntu: [root, sys]
- cloud-users
runcmd:
 - [ sh, -xc, "echo $(date) ': hello'" ]
 - |
   for i in 1 2; do
     echo "$i: x"
   done
 - curl http://192.0.2.1/x # not a comment: url
 - - a
   - b c
write_files:
- {path: /etc/flow, content: "a\nb", permissions: "0600"}
- path: /etc/folded
  content: >-
    one
    two
  empty:
password: !!str
chpasswd: {expire: False, list: ["a:b"]}
text: plain text
  goes on here
"quoted key": 1
"""


def run(script: str, text: str) -> list[str]:
    done = subprocess.run(
        ["busybox", "awk", "-f", str(FILES / script)],
        input=text,
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    return done.stdout.splitlines()


def flatten(value: Any, path: str = "") -> list[str]:
    """The same in Python, from parsed data whose scalars are texts."""
    if isinstance(value, dict):
        return [line for name, item in value.items() for line in flatten(item, f"{path}/{name}" if path else name)]
    if isinstance(value, list):
        return [line for n, item in enumerate(value) for line in flatten(item, f"{path}/{n}" if path else str(n))]
    escaped = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")
    return [f"{path}\t{escaped}"]


def test_cloud_config_as_a_real_yaml_parser_sees_it() -> None:
    text = CLOUD_CONFIG.replace("password: !!str\n", "")
    assert run("yaml.awk", text) == flatten(yaml.load(text, Loader=yaml.BaseLoader))


def test_odd_yaml_ends() -> None:
    for text in ("", "#cloud-config\n", "a", "- ", ":", "a: [", "a: {b", "a: |", '"', "  x\n y\nz: 1\n", "a: 'x"):
        run("yaml.awk", text)


words = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
names = st.text(st.sampled_from("abcxyz_-09"), min_size=1, max_size=6)
scalars = words | st.sampled_from(["a\nb", "tab\tx", 'q"uote', "back\\slash", "/"])
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))


@settings(max_examples=60, deadline=None)
@given(value=st.dictionaries(names, values, max_size=4), indent=st.sampled_from([None, 1]))
def test_any_json(value: dict[str, Any], indent: int | None) -> None:
    assert run("json.awk", json.dumps(value, indent=indent)) == flatten(value)


one_line = st.recursive(words, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))


@settings(max_examples=80, deadline=None)
@given(
    style=st.just(('"', values)) | st.just((None, one_line)),
    data=st.data(),
    flow=st.booleans(),
)
def test_any_yaml_that_a_program_writes(style: tuple[str | None, Any], data: st.DataObject, flow: bool) -> None:
    """Texts of several lines in quotes are beyond the guest's reader, so they come with escapes."""
    value = data.draw(st.dictionaries(names, style[1], max_size=4))
    text = yaml.safe_dump(value, default_flow_style=flow, default_style=style[0], sort_keys=False, width=10_000)
    seen = [line for line in run("yaml.awk", text) if not line.endswith("\t")]
    assert seen == [line for line in flatten(value) if not line.endswith("\t")]


@settings(max_examples=60, deadline=None)
@given(text=st.text(st.sampled_from("ab:- \n\"'[]{}|>#,\\\t"), max_size=60))
def test_random_text_ends(text: str) -> None:
    run("yaml.awk", text)
    run("json.awk", text)
