"""A slice of `make scaffold-matrix`: one row for each framework and for each store, from the spec
to a proved job.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from matrix import judge, judge_second
from samples import Combination, usual

QUICK = Combination("celery")
SLICE = (
    Combination("celery", store="django", retry=False),
    Combination("celery", trigger="cron", store="sqlalchemy", message="payload"),
    Combination("celery", store="redis", message="payload"),
    Combination("celery", broker=True),
    Combination("rq", message="payload", broker=True),
    Combination("dramatiq", backoff="tripling"),
    Combination("dramatiq", trigger="cron", store="alembic", dead="framework"),
    Combination("dramatiq", trigger="poller", store="redis", message="payload", retry=False),
    Combination("huey", effect="at_least_once"),
    Combination("arq", trigger="cron", store="sqlalchemy"),
    Combination("arq", store="redis", retry=False, message="payload"),
    Combination("arq", store="asyncio", effect="transactional"),
    Combination("saq", trigger="cron", store="asyncio", message="payload"),
    Combination("saq", store="redis", retry=False),
    Combination("taskiq", store="asyncio", retry=False, message="payload"),
    Combination("taskiq", trigger="cron", backoff="tripling"),
    Combination("django_tasks", store="django", effect="at_most_once", retry=False),
    Combination("django_tasks", trigger="cron", store="redis"),
    Combination("django_q2", store="django"),
    Combination("django_q2", trigger="cron", store="redis", message="payload"),
    Combination("procrastinate", trigger="cron", store="sqlalchemy"),
    Combination("procrastinate", store="redis", retry=False, message="payload"),
    Combination("plain_cron", trigger="poller", message="payload"),
    Combination("plain_cron", trigger="cron", store="django", message="payload"),
    Combination("plain_cron", trigger="poller", store="sqlalchemy", dead="none", message="payload"),
    Combination("apscheduler", trigger="cron", message="payload", retry=False),
)


@pytest.mark.real
def test_the_plainest_job_is_linted_typed_tested_and_proved(tmp_path: Path) -> None:
    assert judge(QUICK, tmp_path) == []


@pytest.mark.real
@pytest.mark.parametrize("combination", SLICE, ids=str)
def test_what_is_written_is_linted_typed_tested_and_proved(
    combination: Combination, tmp_path: Path
) -> None:
    assert judge(combination, tmp_path) == []


@pytest.mark.real
@pytest.mark.parametrize(
    "combination",
    [
        Combination("dramatiq"),
        Combination("celery", store="sqlalchemy"),
        Combination("arq"),
        Combination("saq"),
        Combination("taskiq"),
        usual("django_tasks"),
        Combination("django_q2", trigger="cron", store="django"),
    ],
    ids=str,
)
def test_a_second_job_stands_beside_the_first(combination: Combination, tmp_path: Path) -> None:
    assert judge_second(combination, tmp_path) == []
