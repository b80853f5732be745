# SPDX-License-Identifier: Apache-2.0
"""Writes docs/permissions.md: every operation of every service, its rule, and which personas it allows.

`--check` says whether the committed page is fresh: a new operation, or a changed right, shows as a diff.
"""

import sys
from pathlib import Path

from altostratus.app.admin.service import SERVICE as ADMIN_SERVICE
from altostratus.app.service_list import ALL_SERVICES
from altostratus.kernel.auth import Context
from altostratus.kernel.policy import Policy
from altostratus.kernel.resource.operations import Action, Op
from altostratus.kernel.resource.service import Service

PAGE = Path(__file__).parents[2] / "docs" / "permissions.md"
PERSONAS = {
    "admin": Context(user_id="a", roles=frozenset({"admin", "manager", "member", "reader"}), project_id="other"),
    "manager": Context(user_id="u", roles=frozenset({"manager", "member", "reader"}), project_id="own"),
    "member": Context(user_id="u", roles=frozenset({"member", "reader"}), project_id="own"),
    "reader": Context(user_id="u", roles=frozenset({"reader"}), project_id="own"),
    "service": Context(user_id="s", roles=frozenset({"service"}), project_id="service"),
    "member of another project": Context(user_id="x", roles=frozenset({"member", "reader"}), project_id="foreign"),
}
TARGET = {"project_id": "own", "tenant_id": "own", "user_id": "u", "owner": "own", "is_public": "True"}
HEADER = """# Who may do what

Made by `tools/generate/permissions.py` from the declarations; do not edit. Each column is a persona asking for a
resource of the project "own" under the default policy; `+` allowed, `-` refused, `*` no rule: any valid token,
`o` open to everybody.
"""


def allowed(policy: Policy, op: Op, context: Context) -> str:
    if op.public:
        return "o"
    if op.rule is None:
        return "*"
    return "+" if policy.allows(op.rule, context, TARGET) else "-"


def describe(service: Service) -> list[str]:
    policy = Policy(service.declared_rules())
    lines = [
        f"\n## {service.title}\n",
        "| operation | rule | " + " | ".join(PERSONAS) + " |",
        "|---" * (2 + len(PERSONAS)) + "|",
    ]
    rows = set()
    for op in service.operations():
        action = f" `{op.action}`" if isinstance(op, Action) else ""
        marks = " | ".join(allowed(policy, op, context) for context in PERSONAS.values())
        rows.add(f"| {op.method} {op.resource.path}{op.path}{action} | {op.rule or ''} | {marks} |")
    return lines + sorted(rows)


def page() -> str:
    lines = [HEADER.rstrip("\n")]
    for service in (*ALL_SERVICES, ADMIN_SERVICE):
        lines += describe(service)
    return "\n".join(lines) + "\n"


def main() -> int:
    text = page()
    if "--check" in sys.argv:
        if PAGE.exists() and PAGE.read_text() == text:
            return 0
        sys.stderr.write("docs/permissions.md is not fresh; run: ./dev run tools/generate/permissions.py\n")
        return 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
