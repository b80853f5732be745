# SPDX-License-Identifier: Apache-2.0
"""Power cuts, repetition and failing steps, for every job of compute."""

import pytest

from altostratus.services.compute.service import SERVICE
from altostratus.testing.jobs_suite import CHECKS, check_all_have_cases

from .job_cases import CASES


def test_every_job_has_a_case():
    check_all_have_cases({job.kind: job for job in SERVICE.jobs}, CASES)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_job(case, check, tmp_path):
    check(case, tmp_path)
