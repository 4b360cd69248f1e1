"""Sweeps that bring a job back: with one a lost message is no lost job, and it may not do a job again
that is done.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import helpers
import pytest
from word_job import SPEC, Edit, prove_with, rules

from skillrun.contract.spec import load_spec
from skillrun.proof.exploring import sweeps
from skillrun.proof.prove import prove
from skillrun.proof.result import Proof, Target

pytestmark = pytest.mark.real

CORPUS = Path(__file__).parent / "corpus"

NAMED: Edit = (
    SPEC,
    "idempotency:",
    'recovers: [{call: "store.sweeps:requeue", every: 15m}]\nidempotency:',
)
# What is older than an hour by the order's own time.
SWEEPS = """
    from datetime import datetime, timedelta
    from store import db, parcels
    from store.tasks import ship

    def requeue():
        limit = (datetime.now() - timedelta(hours=1)).isoformat()
        with db.connect() as connection:
            query = "select id from orders where state = 'new' and touched < ?"
            query += " and id not in (select order_id from dead_jobs)"
            stuck = connection.execute(query, (limit,)).fetchall()
        for (order_id,) in stuck:
            ship.delay(order_id=order_id)
"""
TOUCH: Edit = (
    "store/tasks.py",
    "    try:\n        parcels.send",
    "    with db.connect() as connection:\n"
    "        now = datetime.now().isoformat()\n"
    '        connection.execute("update orders set touched = ? where id = ?", (now, order_id))\n'
    "    try:\n        parcels.send",
)
IMPORT: Edit = (
    "store/tasks.py",
    "import logging\n",
    "import logging\nfrom datetime import datetime\n",
)
COLUMN: Edit = ("store/db.py", "default 'new');", "default 'new', touched text default '');")
JOB = (NAMED, TOUCH, IMPORT, COLUMN)


def prove_swept(root: Path, *edits: Edit, sweeps: str = SWEEPS, only: str | None = None) -> Proof:
    helpers.write_files(root, {"store/sweeps.py": sweeps})
    return prove_with(root, *JOB, *edits, only=only)


LOST = "kill@before:parcel#1 lose sweep"


def test_a_job_with_a_sweep_is_proved(tmp_path: Path) -> None:
    proof = prove_swept(tmp_path)
    assert (proof.verdict, rules(proof)) == ("proved", set())
    families = {tried.schedule.family for tried in proof.tried}
    assert {"sweep", "kill-lose"} <= families


def test_a_sweep_that_does_not_find_it_is_refuted(tmp_path: Path) -> None:
    """It looks for another state, so that the lost job stays lost."""
    proof = prove_swept(tmp_path, sweeps=SWEEPS.replace("'new'", "'stuck'"), only=LOST)
    assert "effect.lost" in rules(proof)


def test_a_sweep_that_does_a_job_again_that_is_done_is_refuted(tmp_path: Path) -> None:
    """It sends by itself, under a key of its own, and forgets to ask for the state."""
    again = SWEEPS.replace("state = 'new' and ", "").replace(
        "ship.delay(order_id=order_id)",
        'parcels.send(order_id, idempotency_key=f"again:{order_id}")',
    )
    proof = prove_swept(tmp_path, sweeps=again, only="sweep")
    assert "effect.other-key" in rules(proof)


def test_a_sweep_that_fails_is_said(tmp_path: Path) -> None:
    broken = SWEEPS.replace("touched < ?", "toched < ?")
    proof = prove_swept(tmp_path, sweeps=broken, only="sweep")
    assert any("recovers: store.sweeps:requeue fails" in j.message for j in proof.incomplete)


def test_a_sweep_that_brings_back_what_was_given_up_is_refuted(tmp_path: Path) -> None:
    forgetful = SWEEPS.replace(" and id not in (select order_id from dead_jobs)", " ")
    given_up = "raise=store.parcels:Down@before:parcel#*/* sweep"
    proof = prove_swept(tmp_path, sweeps=forgetful, only=given_up)
    assert proof.verdict == "refuted"


# -- retry by a table and a sweep, while the handler returns normally

TABLE: Edit = (
    "store/tasks.py",
    """        if self.request.retries >= self.max_retries:
            give_up(order_id, error)
            return
        log.warning("ship retry order_id=%s: %s", order_id, error)
        raise self.retry(exc=error, countdown=10)
""",
    """        if put_off(order_id) >= 3:
            give_up(order_id, error)
        else:
            log.warning("ship retry order_id=%s: %s", order_id, error)
        return
""",
)
PUT_OFF: Edit = (
    "store/tasks.py",
    "def give_up(",
    """def put_off(order_id):
    with db.connect() as connection:
        connection.execute("update orders set tries = tries + 1 where id = ?", (order_id,))
        query = "select tries from orders where id = ?"
        return connection.execute(query, (order_id,)).fetchone()[0]

def give_up(""",
)
TRIES: Edit = (
    "store/db.py",
    "touched text default '');",
    "touched text default '', tries integer default 0);",
)
LONG: Edit = (SPEC, "{kind: fixed, base: 10s}", "{kind: fixed, base: 1h}")
BY_TABLE = (TABLE, PUT_OFF, TRIES, LONG)
NEVER_PASSES = "raise=store.parcels:Down@before:parcel#*/* sweep"


def test_a_job_may_be_tried_again_by_a_table_and_a_sweep(tmp_path: Path) -> None:
    proof = prove_swept(tmp_path, *BY_TABLE, only=NEVER_PASSES)
    assert (proof.verdict, rules(proof)) == ("proved", set())


def test_calls_in_vain_are_counted_from_the_last_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that is brought back twelve times by one of several sweeps is called for more often
    than any limit of calls of the whole schedule.
    """
    monkeypatch.setattr(sweeps, "_MOST_CALLS", 3)
    proof = prove_swept(tmp_path, *BY_TABLE, only=NEVER_PASSES)
    assert (proof.verdict, rules(proof)) == ("proved", set())


def test_a_table_that_nobody_counts_in_is_refuted(tmp_path: Path) -> None:
    for_ever: Edit = ("store/tasks.py", "tries = tries + 1", "tries = 1")
    proof = prove_swept(tmp_path, *BY_TABLE, for_ever, only=NEVER_PASSES)
    assert proof.verdict == "refuted"
    assert rules(proof) & {"attempts.unbounded", "attempts.too-many"}


# -- a cron function of arq gets the worker's context

RESCUE = """
async def rescue(ctx):
    with closing(db.connect()) as connection:
        query = "select id, email from bookings where id not in (select booking_id from confirmations)"
        stuck = connection.execute(query).fetchall()
    for booking in stuck:
        await ctx["redis"].enqueue_job("confirm", *booking)
"""


@pytest.mark.parametrize("told", ["redis", "nothing"])
def test_a_cron_function_is_called_with_the_context_of_its_worker(
    told: str, tmp_path: Path
) -> None:
    root = tmp_path / "arq"
    shutil.copytree(CORPUS / "arq_confirmation", root)
    tasks = root / "booking/tasks.py"
    tasks.write_text(tasks.read_text() + RESCUE.replace('"redis"', f'"{told}"'))
    path = root / ".skillrun/jobs/confirm.yaml"
    named = 'recovers: [{call: "booking.tasks:rescue", every: 10m}]\nidempotency:'
    path.write_text(path.read_text().replace("idempotency:", named))
    spec = load_spec(path, root=root)
    proof = prove(Target(spec, root, "arq"), only="kill@before:mail#1 lose sweep")
    if told == "redis":
        assert (proof.verdict, rules(proof)) == ("proved", set())
    else:
        assert "effect.lost" in rules(proof)
