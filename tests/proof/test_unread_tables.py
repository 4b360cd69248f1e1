"""A table that no state query reads is read as a whole; where it ends like state, nothing is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from skillrun.probe.facts import BootFacts
from skillrun.proof.unread_tables import find_like_state, write_query
from tests.proof.histories import DONE, KILLED, history, reference
from tests.proof.plain_job import plain_repo, proof_of

ROWS = {"notes": [[7, "sent"]], "tries": [[7, 1]], "marks": "error: no such table"}


def find(*tables: dict[str, object]) -> set[str]:
    once = history("once", DONE, tables=ROWS)
    seen = [history("redeliver", DONE, DONE, tables=one) for one in tables]
    return find_like_state(seen, replace(reference(), once=once))


def test_what_ends_each_time_as_after_one_run_is_like_state() -> None:
    assert find(ROWS) == {"notes", "tries"}


def test_what_counts_attempts_is_not() -> None:
    assert find(ROWS, {"notes": [[7, "sent"]], "tries": [[7, 2]]}) == {"notes"}


def test_a_column_that_differs_between_single_runs_is_left_aside() -> None:
    """An inbox notes when it took a message; that it took one, and which, is as fixed as any state."""
    once = history("once", DONE, tables={"inbox": [["mail", 7, "12:00"]], "stamps": [["12:00"]]})
    later = history("once", DONE, tables={"inbox": [["mail", 7, "12:01"]], "stamps": [["12:01"]]})
    single = replace(reference(), once=once, later=later)
    again = {"inbox": [["mail", 7, "12:02"]], "stamps": [["12:02"]]}
    twice = {"inbox": [["mail", 7, "12:02"], ["mail", 7, "12:03"]]}
    other = {"inbox": [["mail", 8, "12:02"]]}
    for tables, alike in ((again, {"inbox"}), (twice, set()), (other, set())):
        assert find_like_state([history("redeliver", DONE, DONE, tables=tables)], single) == alike


def test_a_job_that_its_library_loses_need_not_have_written() -> None:
    once = history("once", DONE, tables={"ledger": [[7]]})
    dead = history("kill@before:email#1", [KILLED], tables={"ledger": []}, lost=1)
    for lossy, alike in ((True, {"ledger"}), (False, set())):
        single = replace(reference(), once=once, facts=BootFacts(lossy=lossy))
        assert find_like_state([dead], single) == alike


def test_a_table_has_its_schema_before_it() -> None:
    assert write_query("audit.notes") == 'select * from "audit"."notes"'


INSERT = '            db.execute("insert into done'
NOTE = "db.execute('insert {} into notes values (?, ?)', (order_id, 'sent'))"


@pytest.mark.parametrize(("once", "verdict"), [("or replace", "proved"), ("", "incomplete")])
@pytest.mark.real
def test_an_upsert_is_proved_and_a_row_for_each_call_is_asked_for(
    tmp_path: Path, once: str, verdict: str
) -> None:
    keyed = "create table if not exists notes (order_id, text, primary key (order_id))"
    loose = keyed.replace(", primary key (order_id)", "")
    create = f"            db.execute({(keyed if once else loose)!r})\n"
    note = f"            {NOTE.format(once)}\n"
    place = "            if db.execute("
    repo = plain_repo(tmp_path / "repo", was=place, becomes=create + note + place)
    proof = proof_of(repo, "redeliver")
    assert proof.verdict == verdict, proof
