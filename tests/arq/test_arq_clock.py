"""Schedules and intervals in the words of arq's cron."""

from __future__ import annotations

from datetime import datetime

import pytest
from arq_scaffold import arq_cron, croniter

from skillrun.frameworks.arq.clock import crontab

# -- the clock


@pytest.mark.parametrize(
    ("schedule", "options"),
    [
        ("*/5 * * * *", "minute=set(range(0, 60, 5))"),
        ("* * * * *", "second=0"),
        ("30 3 * * *", "hour=3, minute=30"),
        ("* 3 * * *", "hour=3, minute=set(range(0, 60))"),
        ("0 8-18/2 * * 1-5", "weekday=set(range(0, 5)), hour=set(range(8, 19, 2)), minute=0"),
        ("0 0 * * sun", "weekday=6, hour=0, minute=0"),
        ("0,30 * 1 */6 *", "month={1, 7}, day=1, minute={0, 30}"),
        ("@daily", "hour=0, minute=0"),
    ],
)
def test_a_schedule_in_arqs_words(schedule: str, options: str) -> None:
    assert ", ".join(crontab("cron", schedule, None) or ()) == options


@pytest.mark.parametrize(
    ("every", "options"),
    [
        (10.0, "second=set(range(0, 60, 10))"),
        (60.0, "second=0"),
        (300.0, "minute=set(range(0, 60, 5))"),
        (7200.0, "hour=set(range(0, 24, 2)), minute=0"),
    ],
)
def test_a_pollers_interval_in_arqs_words(every: float, options: str) -> None:
    assert ", ".join(crontab("poller", None, every) or ()) == options


@pytest.mark.parametrize(
    ("trigger", "schedule", "every"),
    [
        ("cron", "0 3 1 * 1", None),
        ("cron", "0 3 L * *", None),
        ("poller", None, 7.0),
        ("poller", None, 0.5),
    ],
)
def test_a_clock_that_arq_has_not(trigger: str, schedule: str | None, every: float | None) -> None:
    assert crontab(trigger, schedule, every) is None


@pytest.mark.parametrize(
    "schedule", ["*/5 * * * *", "0 8-18/2 * * 1-5", "0,30 * 1 */6 *", "@daily", "* 3 * * *"]
)
def test_arq_runs_it_when_cron_would(schedule: str) -> None:
    """Its next twenty ticks by arq's own reckoning are those of croniter."""
    options = eval(f"dict({', '.join(crontab('cron', schedule, None) or ())})")
    at = datetime(2024, 1, 31, 23, 58)
    wanted = croniter.croniter(schedule, at)
    for _ in range(20):
        at = arq_cron.next_cron(at, **options)
        assert at.replace(microsecond=0) == wanted.get_next(datetime)
