"""A database that dies with its connection keeps nothing: no commit is asked of it."""

from __future__ import annotations

from pathlib import Path

import histories
import pytest
from plain_job import JOBS, plain_repo, proof_of

from skillrun.proof.families.errors import plan_store_errors
from skillrun.proof.judges import state

PLACE = '            send(order_id, key=f"order-{order_id}")\n'
FLEETING = {
    "in memory": 'other = sqlite3.connect(":memory:")',
    "shared": 'other = sqlite3.connect("file:x?mode=memory&cache=shared", uri=True)',
    "a temporary file": 'other = sqlite3.connect("")',
}
WORK = """
other.execute("create table t (a)")
other.execute("insert into t values (1)")
assert other.execute("select a from t").fetchone() == (1,)
other.close()
"""
TEMPORARY = """
own = sqlite3.connect(DB)
own.execute("create temp table t (a)")
own.execute("insert into t values (1)")
own.close()
"""


def told(when: str, verb: str, store: str, sql: str = "", **more: object) -> tuple[str, dict]:  # type: ignore[type-arg]
    fields = {"when": when, "name": f"{verb}-t#1", "kind": "sql", "verb": verb, "table": "t"}
    return "at", {**fields, "store": store, "sql": sql, **more}


@pytest.mark.parametrize(
    ("store", "made", "found"),
    [
        (":memory:", "table", 0),
        ("", "table", 0),
        ("sqlite:/a", "table", 1),
        ("sqlite:/a", "temp table", 0),
        ("sqlite:/a", "TEMPORARY TABLE", 0),
    ],
)
def test_what_is_never_committed(store: str, made: str, found: int) -> None:
    events = [
        told("before", "create", store, f"create {made} t (a)"),
        told("after", "create", store, open=False),
        told("before", "insert", store, "insert into t values (1)"),
        told("after", "insert", store, open=True),
    ]
    made_up = histories.history("once", events)
    assert len(state._find_forgotten_writes(made_up.deliveries[0])) == found


@pytest.mark.parametrize(("store", "count"), [(":memory:", 0), ("", 0), ("sqlite:/a", 1)])
def test_no_commit_of_it_fails(store: str, count: int) -> None:
    event = ("at", {"when": "before", "name": "commit#1", "kind": "commit", "store": store})
    events = list(histories.history("once", [event]).deliveries[0].events)
    assert len(list(plan_store_errors(events))) == count


def repo_with(tmp_path: Path, code: str) -> Path:
    lines = "".join(f"            {line}\n" for line in code.strip().splitlines())
    return plain_repo(tmp_path / "repo", jobs=JOBS.replace(PLACE, lines + PLACE))


@pytest.mark.real
@pytest.mark.parametrize("name", FLEETING)
def test_a_scratch_pad_needs_no_commit(tmp_path: Path, name: str) -> None:
    proof = proof_of(repo_with(tmp_path, FLEETING[name] + WORK))
    assert proof.verdict == "proved", (proof.witnesses, proof.incomplete)


@pytest.mark.real
def test_a_temporary_table_needs_no_commit(tmp_path: Path) -> None:
    proof = proof_of(repo_with(tmp_path, TEMPORARY))
    assert proof.verdict == "proved", (proof.witnesses, proof.incomplete)


@pytest.mark.real
def test_a_table_that_stays_needs_one(tmp_path: Path) -> None:
    repo = plain_repo(tmp_path / "repo", was="as db, db:", becomes="as db:")
    assert "state.not-committed" in {found.judgement.rule for found in proof_of(repo).witnesses}
