#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check the rules of the house that ruff, mypy and import-linter cannot express.

Prints `file:line: what is wrong; what to do` and ends with 1 if there is anything to print. Exceptions are in
house_rules.toml beside this file, each with its limit; an exception that is no longer needed is an error too.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "src/altostratus/"
# Written by `./dev migration` and never edited by hand afterwards.
GENERATED = "src/altostratus/migrations/versions/"
MOST_LINES = 400
MOST_FUNCTION_LINES = 60
MOST_ARGUMENTS = 6
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "managers", "core", "misc", "base"}
# Below these, the clock of the machine may be read; elsewhere time and ids come from the kernel.
OWN_CLOCK = tuple(
    PACKAGE + part for part in ("kernel/", "agents/", "drivers/", "app/", "cli/", "testing/", "guest_image/")
)
CLOCK_CALLS = {
    "datetime.now",
    "datetime.utcnow",
    "datetime.datetime.now",
    "time.time",
    "uuid.uuid4",
    "uuid4",
    "uuid.uuid1",
}
# In two halves, for this file is looked through as well.
PLACES = ["py|pi.org", "python|hosted.org", "npm|js.org", "npm|js.com", "crates|.io", "golang|.org", "ruby|gems.org"]
PLACES += ["deb|.debian.org", "security|.debian.org", "snapshot|.debian.org", "archive|.ubuntu.com"]
PLACES += ["security|.ubuntu.com", "docker|.io", "ghcr|.io", "quay|.io"]
PLACE = re.compile("|".join(re.escape(place.replace("|", "")) for place in PLACES), re.IGNORECASE)
# `/root/.ssh` and the like are paths inside guests.
MACHINE_PATH = re.compile(
    r"(?<![\w.$}-])/(?:wor[k]/|roo[t]/(?!\.(?:ssh|profile|bashrc|cache|config)\b)|tm[p]/(?:briefs|h\d))"
)
UNFINISHED = re.compile("pragma: " + "no cover|Not" + "ImplementedError")
NOT_TEXT = {".png", ".jpg", ".ico", ".gif", ".woff2", ".qcow2", ".gz", ".zst", ".lock"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Finding:
    """One broken rule: where, and a sentence that says what to do."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


@dataclass
class Exceptions:
    """The lists of house_rules.toml, and which of their entries were needed."""

    lists: dict[str, dict[str, int | str]] = field(default_factory=dict)
    used: set[tuple[str, str]] = field(default_factory=set)

    def limit(self, kind: str, key: str, default: int) -> int:
        """The limit for `key`: its own if it is excepted, else `default`."""
        value = self.lists.get(kind, {}).get(key)
        return value if isinstance(value, int) else default

    def unneeded(self) -> Iterator[Finding]:
        """Entries that excuse nothing any more."""
        for kind, entries in self.lists.items():
            for key in entries:
                if (kind, key) not in self.used:
                    yield Finding(
                        "tools/house_rules.toml", 1, f"{kind}: {key!r} needs no exception any more; remove it"
                    )


def tracked_files(root: Path) -> list[str]:
    """Paths of the repository, relative to `root`: tracked ones and new ones that are not ignored."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    return sorted(path for path in set(listing.split("\0")) if path and (root / path).is_file())


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an attribute chain; "" if it is something else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def check_text(path: str, text: str) -> Iterator[Finding]:
    """Rules for every text file: no places, no paths of a machine, nothing unfinished."""
    for number, line in enumerate(text.splitlines(), start=1):
        if PLACE.search(line):
            yield Finding(
                path, number, "names a package archive or registry; name packages only, never where they come from"
            )
        if MACHINE_PATH.search(line):
            yield Finding(
                path, number, "names a path of the machine it was written on; use a relative or a configured path"
            )
        if path.endswith(".py") and UNFINISHED.search(line):
            yield Finding(path, number, "unfinished or hidden from coverage; write it, or use a capability bit")


def check_header(path: str, text: str) -> Iterator[Finding]:
    """The licence line, first or after `#!`."""
    lines = text.splitlines()
    is_script = bool(lines) and lines[0].startswith("#!")
    if not (path.endswith((".py", ".sh")) or is_script):
        return
    first = lines[1:2] if is_script else lines[:1]
    if first != ["# SPDX-License-Identifier: Apache-2.0"]:
        yield Finding(path, 1, "lacks '# SPDX-License-Identifier: Apache-2.0' as its first line; add it")


def check_name(path: str) -> Iterator[Finding]:
    """No file or folder of a name that says nothing."""
    for part in PurePosixPath(path).parts:
        if part.removesuffix(".py") in FORBIDDEN_NAMES:
            yield Finding(path, 1, f"is called {part!r}, which says nothing; name it after what it holds")


def check_sizes(path: str, text: str, tree: ast.Module, exceptions: Exceptions) -> Iterator[Finding]:
    """Lines of the file, lines and arguments of its functions."""
    if path.startswith(GENERATED):
        return
    count = len(text.splitlines())
    if path.startswith(PACKAGE) and count > MOST_LINES:
        exceptions.used.add(("long_files", path))
        if count > exceptions.limit("long_files", path, MOST_LINES):
            yield Finding(
                path, count, f"has {count} lines, {MOST_LINES} is the limit; make it a folder of the same name"
            )
    for name, node in named_functions(tree):
        key = f"{path}:{name}"
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > MOST_FUNCTION_LINES:
            exceptions.used.add(("long_functions", key))
            if length > exceptions.limit("long_functions", key, MOST_FUNCTION_LINES):
                yield Finding(
                    path, node.lineno, f"{name}() has {length} lines, {MOST_FUNCTION_LINES} is the limit; split it"
                )
        arguments = argument_count(node)
        if arguments > MOST_ARGUMENTS:
            exceptions.used.add(("many_arguments", key))
            if arguments > exceptions.limit("many_arguments", key, MOST_ARGUMENTS):
                sentence = f"{name}() takes {arguments} arguments, {MOST_ARGUMENTS} is the limit; pass a dataclass"
                yield Finding(path, node.lineno, sentence)


def named_functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    """(`Class.method` or `function`, node) of every function, inner ones included."""
    for node in ast.iter_child_nodes(tree):
        name = prefix
        if isinstance(node, Function | ast.ClassDef):
            name = f"{prefix}.{node.name}" if prefix else node.name
        if isinstance(node, Function):
            yield name, node
        yield from named_functions(node, name)


def argument_count(node: Function) -> int:
    """Arguments of a function without `self` and `cls`."""
    names = [argument.arg for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def check_functions(path: str, tree: ast.Module, exceptions: Exceptions) -> Iterator[Finding]:
    """Imports on top only; no forwarding by `__getattr__`."""
    for function in ast.walk(tree):
        if not isinstance(function, Function):
            continue
        if function.name == "__getattr__":
            yield Finding(path, function.lineno, "forwards by __getattr__; write the functions out")
        for node in ast.walk(function):
            if isinstance(node, ast.Import | ast.ImportFrom):
                exceptions.used.add(("late_imports", path))
                if path not in exceptions.lists.get("late_imports", {}):
                    yield Finding(
                        path, node.lineno, f"imports inside {function.name}(); imports stand on top of the file"
                    )


def check_calls(path: str, tree: ast.Module) -> Iterator[Finding]:
    """Clocks and ids, commits, shells."""
    in_logic = re.match(rf"{PACKAGE}services/\w+/logic(/|\.py)", path) is not None
    own_clock = path.startswith(OWN_CLOCK) or not path.startswith(PACKAGE)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        if name in CLOCK_CALLS and not own_clock:
            yield Finding(path, node.lineno, f"calls {name}(); take time from kernel.clock and ids from kernel.ids")
        if in_logic and isinstance(node.func, ast.Attribute) and node.func.attr == "commit":
            yield Finding(path, node.lineno, "commits in logic; the operation or the job owns the transaction")
        for keyword in node.keywords:
            if keyword.arg == "shell" and isinstance(keyword.value, ast.Constant) and keyword.value.value:
                yield Finding(path, node.lineno, "starts a shell; pass a list of arguments")


def imported_modules(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of everything that a module imports, names after `from` included."""
    package = PurePosixPath(path.removeprefix("src/")).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def check_doors(path: str, tree: ast.Module) -> Iterator[Finding]:
    """A service is entered by its `public` module only."""
    own = re.match(rf"{PACKAGE}services/(\w+)/", path)
    if own is None:
        return
    for line, name in imported_modules(path, tree):
        other = re.match(r"altostratus\.services\.(\w+)(?:\.(\w+))?", name)
        if other and other[1] != own[1] and other[2] != "public":
            yield Finding(
                path, line, f"enters the service {other[1]} by {name}; use altostratus.services.{other[1]}.public"
            )


def check_python(path: str, text: str, exceptions: Exceptions) -> Iterator[Finding]:
    """Every rule for one Python file."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        yield Finding(path, error.lineno or 1, f"is no Python: {error.msg}")
        return
    if not ast.get_docstring(tree):
        yield Finding(path, 1, "has no module docstring; say in one sentence what is here")
    yield from check_calls(path, tree)
    if path.startswith((PACKAGE, "tools/")):
        yield from check_sizes(path, text, tree, exceptions)
        yield from check_functions(path, tree, exceptions)
        yield from check_doors(path, tree)


def check_repository(root: Path, exceptions: Exceptions) -> list[Finding]:
    """Everything that is wrong in the repository at `root`, in order of paths."""
    findings: list[Finding] = []
    for path in tracked_files(root):
        if PurePosixPath(path).suffix in NOT_TEXT:
            continue
        try:
            text = (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        findings += [*check_name(path), *check_text(path, text), *check_header(path, text)]
        if path.endswith(".py"):
            findings += check_python(path, text, exceptions)
    return [*findings, *exceptions.unneeded()]


def main() -> int:
    """Entry point; returns the exit status."""
    exceptions = Exceptions(tomllib.loads((ROOT / "tools/house_rules.toml").read_text()))
    findings = check_repository(ROOT, exceptions)
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
