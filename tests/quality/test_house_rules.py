# SPDX-License-Identifier: Apache-2.0
"""The house rules find what they are for, and this repository keeps them."""

import ast
import subprocess
import tomllib
from pathlib import Path

import pytest

from tools import house_rules
from tools.house_rules import Exceptions

ROOT = Path(__file__).resolve().parents[2]
HEAD = '# SPDX-License-Identifier: Apache-2.0\n"""Something."""\n'


def messages(path: str, text: str, exceptions: Exceptions | None = None) -> list[str]:
    exceptions = exceptions or Exceptions()
    found = [*house_rules.check_name(path), *house_rules.check_text(path, text), *house_rules.check_header(path, text)]
    return [finding.message for finding in [*found, *house_rules.check_python(path, text, exceptions)]]


def test_a_proper_file_is_left_alone() -> None:
    text = HEAD + "import os\n\n\ndef show(server_id: str) -> str:\n    return os.fspath(server_id)\n"
    assert messages("src/altostratus/services/compute/logic/servers.py", text) == []


@pytest.mark.parametrize(
    ("path", "body", "part"),
    [
        ("src/altostratus/kernel/utils.py", "", "says nothing"),
        ("src/altostratus/drivers/core/x.py", "", "says nothing"),
        ("src/altostratus/services/image/api.py", "x = datetime.now(UTC)\n", "kernel.clock"),
        ("src/altostratus/services/image/api.py", "x = uuid.uuid4()\n", "kernel.ids"),
        ("src/altostratus/services/image/api.py", "x = time.time()\n", "kernel.clock"),
        ("src/altostratus/services/image/logic/images.py", "session.commit()\n", "transaction"),
        ("src/altostratus/services/image/logic.py", "session.commit()\n", "transaction"),
        ("src/altostratus/app/x.py", "def f() -> None:\n    import os\n", "imports stand on top"),
        ("src/altostratus/app/x.py", "subprocess.run('ls', shell=True)\n", "list of arguments"),
        ("src/altostratus/app/x.py", "def f(a, b, c, d, e, *, g, h):\n    pass\n", "7 arguments"),
        ("src/altostratus/app/x.py", "def f():\n" + "    pass\n" * 60, "61 lines"),
        ("src/altostratus/app/x.py", "pass\n" * 400, "402 lines"),
        ("src/altostratus/app/x.py", "def __getattr__(name): ...\n", "__getattr__"),
        ("src/altostratus/app/x.py", "raise Not" + "ImplementedError\n", "unfinished"),
        ("src/altostratus/app/x.py", "x = 'https://py" + "pi.org/simple'\n", "registry"),
        ("src/altostratus/app/x.py", "x = '/wor" + "k/main'\n", "path of the machine"),
        ("src/altostratus/services/compute/jobs.py", "from altostratus.services.image import logic\n", "public"),
        ("src/altostratus/services/compute/jobs.py", "from altostratus.services.image.models import Image\n", "public"),
        ("src/altostratus/services/compute/jobs.py", "import altostratus.services.image.logic\n", "public"),
        ("src/altostratus/services/compute/jobs.py", "from ..image import logic\n", "public"),
        ("src/altostratus/app/x.py", "def f(:\n", "no Python"),
    ],
)
def test_each_rule_finds_its_sin(path: str, body: str, part: str) -> None:
    found = messages(path, HEAD + body)
    assert len(found) == 1, found
    assert part in found[0]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("src/altostratus/kernel/clock.py", "x = time.time()\n"),
        ("src/altostratus/agents/compute/agent.py", "x = time.monotonic()\n"),
        ("src/altostratus/services/compute/jobs.py", "from altostratus.services.image import public as image\n"),
        ("src/altostratus/services/compute/jobs.py", "from altostratus.services.image.public import find_image\n"),
        ("src/altostratus/services/compute/jobs.py", "from altostratus.services.compute import logic\n"),
        ("src/altostratus/services/compute/jobs.py", "from . import logic\n"),
        ("src/altostratus/app/x.py", "class A:\n    def f(self, a, b, c, d, e, g):\n        pass\n"),
        ("src/altostratus/app/x.py", "x = '/root/.ssh/authorized_keys'\n"),
        ("tests/test_x.py", "def f(a, b, c, d, e, g, h):\n    pass\n"),
    ],
)
def test_no_rule_finds_what_is_allowed(path: str, body: str) -> None:
    assert messages(path, HEAD + body) == []


def test_licence_line_comes_first_or_after_the_interpreter() -> None:
    licence = "# SPDX-License-Identifier: Apache-2.0\n"
    assert not list(house_rules.check_header("alto", "#!/bin/sh\n" + licence))
    assert not list(house_rules.check_header("README.md", "# Title\n"))
    assert list(house_rules.check_header("alto", "#!/bin/sh\necho\n" + licence))
    assert list(house_rules.check_header("a.py", '"""Doc."""\n' + licence))


def test_exceptions_have_a_limit_and_go_away_when_unneeded() -> None:
    path = "src/altostratus/app/x.py"
    text = HEAD + "class A:\n    def f(self, a, b, c, d, e, g, h): ...\n"
    exceptions = Exceptions({"many_arguments": {f"{path}:A.f": 7}})
    assert messages(path, text, exceptions) == []
    assert list(exceptions.unneeded()) == []
    assert "7 arguments" in messages(path, text, Exceptions({"many_arguments": {f"{path}:A.f": 6}}))[0]
    unneeded = Exceptions({"long_files": {path: 500}})
    assert messages(path, HEAD, unneeded) == []
    assert ["remove it" in finding.message for finding in unneeded.unneeded()] == [True]


def test_every_service_package_has_its_place_in_the_line() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    line = next(contract for contract in contracts if contract["id"] == "services-dag")
    places = {layer.strip("()") for layer in line["layers"]}
    packages = {path.parent.name for path in (ROOT / "src/altostratus/services").glob("*/__init__.py")}
    assert packages <= places
    assert line["exhaustive"]


def test_new_files_are_looked_at_and_ignored_ones_are_not(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("ignored/\n")
    (tmp_path / "ignored").mkdir()
    (tmp_path / "ignored/x.py").write_text("")
    (tmp_path / "new.py").write_text("x = 1\n")
    findings = house_rules.check_repository(tmp_path, Exceptions())
    assert {finding.path for finding in findings} == {"new.py"}
    assert str(findings[0]).startswith("new.py:1: ")


def test_imports_are_resolved_to_absolute_names() -> None:
    tree = ast.parse("from ..image import logic\nfrom . import x\nfrom .y import z\nimport a.b\n")
    names = [name for _, name in house_rules.imported_modules("src/altostratus/services/compute/jobs.py", tree)]
    assert names == [
        "altostratus.services.image.logic",
        "altostratus.services.compute.x",
        "altostratus.services.compute.y.z",
        "a.b",
    ]
