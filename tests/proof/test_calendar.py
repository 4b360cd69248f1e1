"""Days from which another month or year is easily worked out wrongly."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from histories import ACKED, DONE, history, raised, reference
from plain_job import JOBS, plain_repo, proof_of, target_of

from skillrun.core.errors import Misuse
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.observe import look
from skillrun.proof.prove import prove
from skillrun.proof.schedule import parse_schedule
from skillrun.proof.ticks import list_border_days

BORDERS = {(1, 1), (1, 31), (2, 29), (3, 31), (12, 31)}
SEND = 'send(order_id, key=f"order-{order_id}")'
NEXT_MONTH = "datetime.now().replace(month=datetime.now().month % 12 + 1)"
LAST_MONTH = "datetime.now().replace(month=datetime.now().month - 1)"
NEXT_YEAR = "datetime.now().replace(year=datetime.now().year + 1)"


def reckon(expression: str) -> str:
    """The handler with a date that it works out before it sends."""
    dated = f"due = {expression}\n            {SEND}"
    return JOBS.replace(SEND, dated).replace(
        "import logging\n", "import logging\n    from datetime import datetime, timedelta\n", 1
    )


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        (NEXT_MONTH, {(1, 31), (3, 31)}),
        (LAST_MONTH, {(1, 1), (1, 31), (3, 31), (12, 31)}),
        (NEXT_YEAR, {(2, 29)}),
        ("datetime.now() + timedelta(days=31)", set()),
    ],
    ids=["next month", "last month", "next year", "days"],
)
@pytest.mark.real
def test_a_date_that_does_not_exist_is_refuted(
    tmp_path: Path, expression: str, days: set[tuple[int, int]]
) -> None:
    target = target_of(plain_repo(tmp_path, jobs=reckon(expression)))
    planned = [one for one in look(target).plan.schedules if one.family == "calendar"]
    assert {(day.month, day.day) for day in map(read_day, planned)} == BORDERS
    refuted: set[tuple[int, int]] = set()
    for schedule in planned:
        proof = prove(target, only=str(schedule))
        rules = {witness.judgement.rule for witness in proof.witnesses}
        if proof.verdict == "refuted":
            assert rules == {"effect.calendar"}
            refuted.add((read_day(schedule).month, read_day(schedule).day))
        else:
            assert proof.verdict == "proved"
    assert refuted == days


def read_day(schedule: object) -> date:
    return date.fromisoformat(str(schedule).removeprefix("day="))


@pytest.mark.real
def test_what_the_application_says_of_old_rows_is_no_fault(tmp_path: Path) -> None:
    """Such a day lies years ahead of the fixture's rows."""
    old = 'if datetime.now().year > 2031: raise ValueError("too old")'
    jobs = reckon("1").replace("due = 1", old)
    proof = proof_of(plain_repo(tmp_path, jobs=jobs), only="day=2032-02-29")
    assert (proof.verdict, [one.message for one in proof.incomplete]) == ("proved", [])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("0 6 * * *", BORDERS),
        ("0 6 1 * *", {(1, 1)}),
        ("0 6 15 * *", set()),
        ("every 5 minutes", BORDERS),
        (None, BORDERS),
    ],
)
def test_a_cron_job_comes_where_it_is_due(
    schedule: str | None, expected: set[tuple[int, int]]
) -> None:
    days = list_border_days(schedule, "Europe/Berlin")
    assert {(day.month, day.day) for day in days} == expected
    assert days == sorted(days)
    assert all(day > date.today() for day in days)


def test_a_day_that_does_not_exist_cannot_be_asked_for() -> None:
    with pytest.raises(Misuse, match="there is no day 2027-02-30"):
        parse_schedule("day=2027-02-30")
    assert str(parse_schedule("day=2028-02-29")) == "day=2028-02-29"


@pytest.mark.parametrize(
    ("text", "rules"),
    [("day is out of range for month", ["effect.calendar"]), ("no such order", [])],
)
def test_a_payload_whose_month_has_no_such_day(text: str, rules: list[str]) -> None:
    kind, told = raised("builtins:ValueError", injected=False)
    failed = [(kind, {**told, "text": text}), ACKED]
    found = judge_history(history("varied=1-50", DONE, failed), reference())
    assert [one.rule for one in found] == rules
