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
from altostratus.kernel.policy_checks import OwnThings
from altostratus.kernel.resource.operations import Action, Op
from altostratus.kernel.resource.service import Service
from altostratus.testing.personas import EVERYBODY, PersonaAuthenticator

PAGE = Path(__file__).parents[2] / "docs" / "permissions.md"
PERSONAS = {name: PersonaAuthenticator().authenticate(token) for name, token in EVERYBODY.items()}
OWNER = PersonaAuthenticator().authenticate("member@blue")
HEADER = """# Who may do what

Made by `tools/generate/permissions.py` from the declarations; do not edit. Each column is somebody who asks for
something that belongs to project blue in the domain Default, and to that person, under the default policy: `+` allowed,
`-` refused, `*` no rule, any valid token may ask, `o` open to everybody, without a token too. The role admin in any
project is the cloud's; "no role" has a token of project blue without any.
"""


class Things(OwnThings):
    """Of project blue and the caller; what belongs to a person is not the caller's who comes from elsewhere."""

    def __init__(self, context: Context) -> None:
        stranger = context.project_id not in (None, OWNER.project_id)
        names = {"project_domain_id": "default"}
        user_id = OWNER.user_id if stranger else context.user_id
        super().__init__(Context(user_id=user_id, project_id=OWNER.project_id, names=names))
        self["is_public"] = "True"


def allowed(policy: Policy, op: Op, context: Context) -> str:
    if op.public:
        return "o"
    if op.rule is None:
        return "*"
    return "+" if policy.allows(op.rule, context, Things(context)) else "-"


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
