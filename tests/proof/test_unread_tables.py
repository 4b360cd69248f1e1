"""A table that no state query reads is read as a whole; where it ends like state, nothing is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from skillrun.proof.unread_tables import find_like_state, write_query
from tests.proof.histories import DONE, history, reference
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


def test_a_table_has_its_schema_before_it() -> None:
    assert write_query("audit.notes") == 'select * from "audit"."notes"'


INSERT = '            db.execute("insert into done'
NOTE = "db.execute('insert {} into notes values (?, ?)', (order_id, 'sent'))"


@pytest.mark.parametrize(("once", "verdict"), [("or replace", "proved"), ("", "incomplete")])
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
