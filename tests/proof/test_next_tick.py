"""A job that a clock alone publishes: what a death leaves undone, its next tick does, where that is
the same job.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from till import SPEC, prove_till

from skillrun.contract.job import JobSpec, Trigger
from skillrun.proof.families.sweeps import follow_with_tick
from skillrun.proof.schedule import Fault, Schedule, parse_schedule

# A nightly job with Celery's early acknowledgement, instead of the till's own.
HEAD = (
    '@app.task(bind=True, name="till.charge", max_retries=None, acks_late=True, reject_on_worker_lost=True)\n'
    "def charge(self, order_id):\n"
)
PURGE = """@app.task(name="till.charge")
def charge():
    log.info("purge begins")
    with db.begin() as store:
        store.execute("{statement}")
    log.info("purge succeeded")


def serve(self, order_id):
"""
OLD = "update orders set status = 'old' where status = 'open'"
# Each tick takes one more: tomorrow's work is another one.
NEXT = (
    "update orders set status = 'old' where id = (select min(id) from orders where status = 'open')"
)
# Each day one more is due: what tomorrow's tick does, a first one would do tomorrow as well.
DUE = (
    "update orders set status = 'old' where status = 'open'"
    f" and id <= 1 + julianday(date('now')) - julianday('{datetime.now(UTC).date()}')"
)
NIGHTLY: dict[str, Any] = {
    "trigger": {"type": "cron", "schedule": "0 3 * * *"},
    "payload": {"type": "object", "properties": {}, "examples": [{}]},
    "enqueue": None,
    "idempotency": {"strategy": "invariant", "invariant": {"statement": "a second run finds none"}},
    "effects": [],
    "failures": {"transient": [], "permanent": [], "acceptable_delay": "2d"},
    "retry": {"kind": "none", "reason": "the next night does it"},
    "dead_letter": {"kind": "none", "reason": "the next night does it"},
    "proof": {key: part for key, part in SPEC["proof"].items() if key != "dead_letters"},
}


@pytest.mark.real
@pytest.mark.parametrize(
    ("statement", "rules"),
    [(OLD, set()), (DUE, set()), (NEXT, {"state.differs"})],
    ids=["the same job", "what is due by then", "another day's work"],
)
def test_a_death_is_made_up_for_by_the_next_tick(
    statement: str, rules: set[str], tmp_path: Path
) -> None:
    edit = (HEAD, PURGE.format(statement=statement))
    proof = prove_till(tmp_path / "repo", None, edit, **NIGHTLY)
    told = {witness.judgement.rule for witness in proof.witnesses}
    assert {rule for rule in told if rule.startswith("state.")} == rules


SWALLOWS = """@app.task(name="till.charge")
def charge():
    log.info("report begins")
    try:
        with db.begin() as store:
            day = "cast(strftime('%s', date('now')) as integer)"
            store.execute(f"insert or ignore into orders values ({day}, 'made', 0, 0)")
    except sqlite3.OperationalError:
        log.warning("no report today")


def serve(self, order_id):
"""


@pytest.mark.real
def test_what_a_tick_loses_for_good_is_not_excused_by_the_next_one(tmp_path: Path) -> None:
    """The next day's report is there, as a single run on that day leaves it, and today's is not."""
    only = "fail@before:commit#1 wait=86400 re-enqueue"
    proof = prove_till(tmp_path / "repo", only, (HEAD, SWALLOWS), **NIGHTLY)
    assert [one.judgement.rule for one in proof.witnesses] == ["state.error-swallowed"]


def test_deaths_are_followed_where_they_lose_the_message() -> None:
    clock = JobSpec(version=1, job="tick", trigger=Trigger(type="poller", every=900.0), effects=())
    planned = [Schedule("kill", (Fault("kill", "before:commit#1"),))]
    assert list(map(str, follow_with_tick(planned, clock))) == ["kill@before:commit#1"]
    (found,) = map(str, follow_with_tick(planned, clock, after_deaths=True))
    assert found == "kill@before:commit#1 wait=900 re-enqueue"
    assert parse_schedule(found).family == "kill"
