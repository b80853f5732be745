# SPDX-License-Identifier: Apache-2.0
"""Tokens of OAuth 1 ended at `2026-11-22T14%3A33...`: right for a form, but clients compare the text of upstream."""

from tests.services.identity.conftest import BASE
from tests.services.identity.test_oauth1 import Program


def test_colons_stand_as_they_are(cloud):
    consumer = cloud.make("OS-OAUTH1/consumers", "consumer", description="d")
    place = cloud.admin.get(f"{BASE}/projects?name=admin").json["projects"][0]["id"]
    answer = Program(cloud, consumer).ask(place)
    assert answer.status == 201 and "oauth_expires_at=2" in answer.text
    assert "%3A" not in answer.text
