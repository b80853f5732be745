# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/identity-ldap.md, typed into a real cloud beside a real directory."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from altostratus.testing.private_cloud import PrivateCloud
from tests.services.identity.ldap.slapd import ROOT, ROOT_PASSWORD, Slapd, group, person, why_not

pytestmark = [pytest.mark.system_smoke, pytest.mark.skipif(why_not() is not None, reason=why_not() or "")]
PAGE = Path(__file__).parents[2] / "docs/identity-ldap.md"


def test_the_page_works_as_typed(tmp_path: Path) -> None:
    settings, *commands = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert "LDAP_URL=" in settings and len(commands) >= 4
    people = person("ada") + person("bob") + group("staff", "ada")
    with Slapd(tmp_path / "slapd", people) as server, PrivateCloud() as cloud:
        own = f"LDAP_URL={server.url}\nLDAP_USER={ROOT}\nLDAP_PASSWORD={ROOT_PASSWORD}\n"
        script = "\n".join(["set -eu", 'eval "$(alto openrc admin)"', own, *commands])
        path = f"{Path(sys.executable).parent}:{cloud.environment['PATH']}"
        environment = cloud.environment | {"PATH": path}
        done = subprocess.run(
            ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ada@example.org" in done.stdout and "staff" in done.stdout
    assert re.search(r"member\s*\|\s*ada@corp", done.stdout), done.stdout
    assert done.stdout.count("| expires") == 2
