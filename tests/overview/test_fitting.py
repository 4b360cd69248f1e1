"""What its single runs show of a draft: errors that nobody can make, columns that no two runs write alike."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import helpers
import pytest

from skillrun.cli.commands.jobs import open_reader
from skillrun.proof.fixtures.seen import DeliverySeen, StoreSeen, Table
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.skills.job_worker.drafting.counters import find_counters
from skillrun.skills.job_worker.drafting.draft import Draft
from skillrun.skills.job_worker.drafting.fitting import fit_draft
from skillrun.skills.job_worker.drafting.rows_seen import write_state
from skillrun.skills.job_worker.drafting.sweepers import find_sweepers

ASKED = "select id, paid_at from payouts order by 1, 2"


def make_draft(**values: Any) -> Draft:
    draft = Draft()
    draft.values |= {"failures": {"transient": [], "permanent": []}, **values}
    return draft


def proof(*problems: Judgement, **reference: Any) -> Any:
    return SimpleNamespace(
        incomplete=problems, reference=SimpleNamespace(**reference) if reference else None
    )


def states(one: Any, other: Any) -> dict[str, Any]:
    history = lambda rows: SimpleNamespace(state={"payouts": rows})  # noqa: E731
    changed = frozenset({"payouts"}) if one != other else frozenset()
    return {"volatile": changed, "once": history(one), "later": history(other)}


def test_an_error_that_nobody_can_make_is_left_out_and_that_is_said() -> None:
    draft = make_draft()
    refused = {"type": "shop.objects:ClientError", "args": ["no"]}
    draft.values["failures"]["permanent"] = ["shop.objects:ClientErrorOfOthers", refused]
    said = "failures: shop.objects:ClientError: TypeError: 1 argument is missing"
    answers = [proof(Judgement(Verdict.INCOMPLETE, "boot.error", said)), proof(**states([], []))]
    assert fit_draft(draft, lambda schedule: answers.pop(0))
    assert draft.values["failures"]["permanent"] == ["shop.objects:ClientErrorOfOthers"]
    assert "shop.objects:ClientError is left out" in draft.guesses[0]


def test_of_a_number_that_is_a_time_a_draft_asks_whether_it_is_there() -> None:
    """Two runs, a minute apart, write it differently; what the job is about stays compared."""
    draft = make_draft(proof={"state": {"payouts": ASKED}})
    rows = [[7, 1790000000]], [[7, 1790000061]]
    answers = [proof(**states(*rows)), proof(**states([[7, 1]], [[7, 1]]))]
    assert fit_draft(draft, lambda schedule: answers.pop(0))
    settled = "select id, paid_at is not null from payouts order by 1, 2"
    assert draft.values["proof"]["state"] == {"payouts": settled}


def test_rows_that_come_and_go_are_no_volatile_column() -> None:
    draft = make_draft(proof={"state": {"payouts": ASKED}})
    answer = proof(**states([[7, 1]], [[7, 1], [8, 1]]))
    assert not fit_draft(draft, lambda schedule: answer)
    assert draft.values["proof"]["state"] == {"payouts": ASKED}


COUNTED = """
def begin(row):
    if row.starts > MAX_STARTS or row["seats"] >= settings.max_seats or row.left > 3:
        raise GiveUp()
"""


def delivery(**arguments: Any) -> DeliverySeen:
    columns = (("id", "TEXT", True), ("status", "TEXT", False), ("starts", "INTEGER", False))
    before = StoreSeen("app.db", "", {"runs": Table(columns, (("r-1", "due", 0),))})
    after = StoreSeen("app.db", "", {"runs": Table(columns, (("r-1", "done", 1),))})
    return DeliverySeen("t", arguments, {}, (before,), (after,), None, True)


def read_counters(text: str) -> frozenset[str]:
    return find_counters([SimpleNamespace(node=ast.parse(text))])  # type: ignore[list-item]


DIFFERENCE = """
def begin(row, account):
    if row.starts - row.failures >= MAX_DEATHS or account.balance - row.fee >= MAX_BALANCE:
        raise GiveUp()
"""


def test_what_is_counted_beside_a_count_of_tries_is_one() -> None:
    """Starts without failures are deaths. What has no such neighbour is business, and compared."""
    counted = "def look(row):\n    if row.failures >= MAX_ATTEMPTS:\n        raise GiveUp()\n"
    assert read_counters(f"{DIFFERENCE}\n{counted}") == {"starts", "failures"}
    assert read_counters(DIFFERENCE) == frozenset()


@pytest.mark.parametrize(
    ("bound", "is_count"),
    [("settings.LENS_ORDER_MAX_STARTS", True), ("MAX_STARTS", True), ("CLIMAX_STARTS", False)],
)
def test_a_bound_may_be_named_after_its_job(bound: str, is_count: bool) -> None:
    found = read_counters(f"def begin(row):\n    return row.starts > {bound}\n")
    assert found == ({"starts"} if is_count else frozenset())


def test_what_is_held_against_the_most_tries_counts_them_in_the_jobs_own_row() -> None:
    """What several jobs count together may be counted twice, and is compared."""
    counters = read_counters(COUNTED)
    assert counters == {"starts", "seats"}
    own = write_state([delivery(run="r-1")], "app.db", ["run"], counters)
    assert own == {"runs": "select id, status from runs order by 1, 2"}
    shared = write_state([delivery(booking="b-7")], "app.db", ["booking"], counters)
    assert shared == {"runs": "select id, status, starts from runs order by 1, 2, 3"}


SWEPT = """
import sqlite3

from celery import Celery

app = Celery("shop")


@app.task
def send(order_id):
    sqlite3.connect("app.db").execute("update orders set status = 'sending' where id = ?", (order_id,))


@app.task
def put_back():
    sqlite3.connect("app.db").execute("update orders set status = 'due'")


@app.task
def tidy():
    sqlite3.connect("app.db").execute("delete from visits")


app.conf.beat_schedule = {
    "put-back": {"task": "shop.tasks.put_back", "schedule": 300.0},
    "tidy": {"task": "shop.tasks.tidy", "schedule": 300.0},
}
"""


def test_who_writes_the_jobs_table_by_the_clock_may_find_it_again(
    home: Path, tmp_path: Path
) -> None:
    files = {"shop/tasks.py": SWEPT, "requirements.txt": "celery\n"}
    reader = open_reader(helpers.build_tree(tmp_path / "repo", files))
    jobs = {job.handler.name: job for job in reader.jobs}
    assert find_sweepers(reader, jobs["send"]) == ("shop.tasks:put_back",)
    assert find_sweepers(reader, jobs["tidy"]) == ()
