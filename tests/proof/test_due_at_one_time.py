"""Ticks that ask the clock themselves: they work at one time of the day, and elsewhere do nothing."""

from __future__ import annotations

from datetime import time
from pathlib import Path
from typing import Any

import pytest
from plain_job import JOBS, plain_repo, proof_of

from skillrun.proof.ticks import find_doubled_tick, list_times

BODY = JOBS[JOBS.index("    def handle") :]
# Every quarter of an hour cron starts it; from half past two in the morning to six it is due.
NIGHTLY = """    from datetime import datetime, timedelta
    from zoneinfo import ZoneInfo

    def handle():
        wall = datetime.now(ZoneInfo("Europe/Berlin"))
        if not ((2, 30) <= (wall.hour, wall.minute) < (6, 0)):
            return
        day = wall.strftime("%Y-%m-%d")
        log.info("summary of %s started", day)
        try:
            with closing(sqlite3.connect(DB)) as db, db:
                if db.execute("select 1 from done where order_id = ?", (day,)).fetchone():
                    return
                send(day, key=f"summary-{day}")
                db.execute("insert into done values (?) on conflict do nothing", (day,))
        except Exception as error:
            log.error("summary of %s failed: %s", day, error)
            raise
        log.info("summary of %s finished", day)
"""
SPEC: dict[str, Any] = {
    "trigger": {"type": "cron", "schedule": "*/15 * * * *", "timezone": "Europe/Berlin"},
    "payload": {"type": "object", "properties": {}, "examples": [{}]},
    "idempotency": {
        "strategy": "invariant",
        "invariant": {"statement": "one row a day", "guarded_by": "primary key"},
    },
    "retry": {"max_attempts": 3, "backoff": {"kind": "fixed", "base": "15m"}},
}


def nightly_repo(tmp_path: Path, body: str) -> Path:
    root = plain_repo(tmp_path.resolve() / "shop", jobs=JOBS.replace(BODY, body), changed=SPEC)
    schema = root / "schema.py"
    column = "order_id integer primary key"
    schema.write_text(schema.read_text().replace(column, "order_id text primary key"))
    return root


@pytest.mark.real
def test_a_tick_that_works_at_night_is_proved_at_night(tmp_path: Path) -> None:
    proof = proof_of(nightly_repo(tmp_path, NIGHTLY), only=None)
    assert [witness.judgement.message for witness in proof.witnesses] == []
    assert proof.verdict == "proved"


@pytest.mark.real
def test_a_nights_work_that_goes_by_the_clock_of_another_zone_comes_twice(tmp_path: Path) -> None:
    """The hour from two to three comes twice in that night; in universal time it does not."""
    body = NIGHTLY.replace(
        'strftime("%Y-%m-%d")', 'astimezone(ZoneInfo("UTC")).isoformat("T", "hours")'
    )
    body = body.replace(
        "(2, 30) <= (wall.hour, wall.minute) < (6, 0)", "(2, 30) == (wall.hour, wall.minute)"
    )
    proof = proof_of(nightly_repo(tmp_path, body), only=None)
    assert proof.verdict == "refuted"
    twice = [w for w in proof.witnesses if w.tried.schedule.family == "dst"]
    assert "effect.other-key" in {witness.judgement.rule for witness in twice}


def test_the_ticks_of_a_day_are_a_quarter_of_an_hour_apart() -> None:
    assert list_times("30 2 * * *") == [time(2, 30)]
    assert list_times("*/5 1 * * *") == [time(1), time(1, 15), time(1, 30), time(1, 45)]
    assert list_times("every day") == []


def test_a_time_that_was_seen_comes_twice_though_its_cron_fires_all_day() -> None:
    assert find_doubled_tick("*/15 * * * *", "Europe/Berlin") is None
    twice = find_doubled_tick("*/15 * * * *", "Europe/Berlin", time(2, 30))
    assert twice is not None
    assert twice[1] - twice[0] == 3600
