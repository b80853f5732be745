# SPDX-License-Identifier: Apache-2.0
"""Where policy files are looked for, and `[oslo_policy]` of the configuration (requirement IDN-24)."""

import pytest

from altostratus.app.policy_files import PolicyOptions, PolicyPlaces
from altostratus.app.policy_state import states
from altostratus.app.sections import load_settings
from altostratus.kernel.config import ConfigError
from altostratus.services.block_storage.service import SERVICE as BLOCK_STORAGE

ONLY_ADMIN = '"volume:create": "rule:context_is_admin"\n'


@pytest.mark.parametrize("name", ["policy.json", "policy.yaml"])
def test_the_configuration_takes_policy_file(tmp_path, name):
    config = tmp_path / "altostratus.toml"
    config.write_text(f'[oslo_policy]\npolicy_file = "{name}"\n')
    assert load_settings(config)[PolicyOptions].policy_file == name


def test_a_misspelt_option_is_refused_with_a_proposal(tmp_path):
    config = tmp_path / "altostratus.toml"
    config.write_text('[oslo_policy]\npolicy_fiel = "policy.json"\n')
    with pytest.raises(ConfigError, match="policy_file"):
        load_settings(config)


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({}, "policy/policy.yaml"),
        ({}, "policy/policy.json"),
        ({}, "policy/block_storage.yaml"),
        ({}, "policy/cinder.json"),
        ({}, "etc/cinder/policy.json"),
        ({"policy_file": "mine.yml"}, "policy/mine.yml"),
        ({"policy_file": "mine.yml"}, "etc/cinder/mine.yml"),
    ],
)
def test_a_file_in_any_of_these_places_counts(tmp_path, options, path):
    places = PolicyPlaces(tmp_path / "policy", PolicyOptions(config_root=str(tmp_path / "etc"), **options))
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(ONLY_ADMIN)
    found = {state.service.type: state for state in states(places)}
    assert found["block_storage"].overrides == {"volume:create": tmp_path / path}
    assert found["block_storage"].unused == set()


def test_the_file_of_the_service_wins_over_the_one_for_all(tmp_path):
    places = PolicyPlaces(tmp_path, PolicyOptions(config_root=""))
    for name in ("policy.yaml", "cinder.yaml"):
        (tmp_path / name).write_text(ONLY_ADMIN)
    assert places.of(BLOCK_STORAGE).index(tmp_path / "cinder.yaml") > places.of(BLOCK_STORAGE).index(
        tmp_path / "policy.yaml"
    )
    found = {state.service.type: state for state in states(places)}
    assert found["block_storage"].overrides["volume:create"] == tmp_path / "cinder.yaml"


def test_a_misspelt_rule_in_the_file_for_all_is_told(tmp_path):
    places = PolicyPlaces(tmp_path, PolicyOptions(config_root=""))
    (tmp_path / "policy.yaml").write_text(ONLY_ADMIN + '"volume:crate": "role:x"\n"create_network": "role:y"\n')
    assert {name for state in states(places) for name in state.unused} == {"volume:crate"}


def test_a_broken_file_is_told_for_its_services(tmp_path):
    places = PolicyPlaces(tmp_path, PolicyOptions(config_root=""))
    (tmp_path / "nova.yaml").write_text("{")
    told = {state.service.type: state.problems for state in states(places) if state.problems}
    assert list(told) == ["compute"] and "nova.yaml, line 1" in told["compute"][0]
