"""Cron expressions for schedulers that are not quite cron: they fire when cron would."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest
from apscheduler.triggers.cron import CronTrigger  # type: ignore[import-untyped,unused-ignore]
from huey import crontab  # type: ignore[import-untyped,unused-ignore]

from skillrun.frameworks.apscheduler.scaffold import cron_trigger
from skillrun.frameworks.common.crontab import both_days, every_fields, read_fields
from skillrun.proof.ticks import read_cron_fields

DAYS = 70
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
SCHEDULES = (
    "*/5 * * * *",
    "30 2 * * *",
    "* 3 * * *",
    "0 9-17 * * mon-fri",
    "0 0 1 jan *",
    "15 6 * * 0",
    "15 6 * * 7",
    "0 12 * * 5-7",
    "0 12 * * 1,3",
    "0 0 1-10/3 * *",
    "10 */6 * * sat",
    "0 5 31 * *",
    "7 1 * feb-apr *",
    "@weekly",
    "@monthly",
    "0 0 * * */2",
    "0 0 ? * ?",
    "5/20 4 * * *",
)


def minutes() -> Iterator[datetime.datetime]:
    return (START + datetime.timedelta(minutes=minute) for minute in range(DAYS * 1440))


def due(schedule: str) -> set[datetime.datetime]:
    """When cron starts it, for expressions that do not give both days."""
    fields = read_cron_fields(schedule)
    assert fields is not None
    minute, hour, day, month, week = fields
    times = [datetime.timedelta(hours=at, minutes=past) for at in hour for past in minute]
    found: set[datetime.datetime] = set()
    for number in range(DAYS):
        date = START + datetime.timedelta(days=number)
        is_day = date.day in day and date.month in month
        if is_day and {date.isoweekday(), date.isoweekday() % 7} & week:
            found.update(date + time for time in times)
    return found


@pytest.mark.real
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_huey_fires_when_cron_does(schedule: str) -> None:
    fields = read_fields(schedule)
    assert fields is not None
    fires = crontab(**fields, strict=True)
    assert {moment for moment in minutes() if fires(moment)} == due(schedule)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_apscheduler_fires_when_cron_does(schedule: str) -> None:
    fires = CronTrigger(**cron_trigger(schedule), timezone=datetime.UTC)
    wanted = sorted(due(schedule))[:300]
    found, last = [], START - datetime.timedelta(seconds=1)
    for _ in wanted:
        last = fires.get_next_fire_time(last, last + datetime.timedelta(seconds=1))
        found.append(last)
    assert found == wanted


@pytest.mark.parametrize(
    "schedule", ("0 0 L * *", "@reboot", "0 0 * * 1#2", "0 0 * * fri-mon", "0 0 * *", "every day")
)
def test_what_they_cannot_say(schedule: str) -> None:
    assert read_fields(schedule) is None


def test_either_of_two_days_is_not_to_be_had() -> None:
    assert both_days(read_fields("0 0 1 * 1") or {})
    assert not both_days(read_fields("0 0 1 * *") or {})


@pytest.mark.parametrize(
    ("seconds", "fields"),
    [
        (60, {"minute": "*"}),
        (300, {"minute": "*/5"}),
        (3600, {"minute": "0", "hour": "*"}),
        (7200, {"minute": "0", "hour": "*/2"}),
        (86400, {"minute": "0", "hour": "0"}),
        (30, None),
        (90, None),
        (420, None),
        (18000, None),
        (172800, None),
    ],
)
def test_a_tick_every_so_often(seconds: float, fields: dict[str, str] | None) -> None:
    assert every_fields(seconds) == fields
