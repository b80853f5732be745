# SPDX-License-Identifier: Apache-2.0
"""Power cuts, repetition and failing steps for every job of the image service."""

import pytest

from altostratus.services.image.service import SERVICE
from altostratus.testing.jobs_suite import CHECKS, check_all_have_cases
from tests.services.image.job_cases import CASES


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_job(case, check, tmp_path):
    check(case, tmp_path)


def test_every_job_has_a_case():
    check_all_have_cases({job.kind: job for job in SERVICE.jobs}, CASES)
