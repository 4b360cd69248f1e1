"""A query reads, says what is wrong with it, and cannot change a thing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ledgers import fill_run, run_start, telemetry

from skillrun.core.errors import LedgerUnusable, Misuse
from skillrun.ledger.query import named_queries, run_query
from skillrun.ledger.store import Ledger, NewEvent


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a: weak success with a waiver; run b: proved success; run c: died, was resumed, died
    again.
    """
    path = tmp_path_factory.mktemp("query") / "ledger.db"
    with Ledger.open(path) as ledger:
        weak = fill_run(ledger, "a", invocations=1)
        waiver = {"item": "tests", "reason": "no database here", "by": "ada"}
        ledger.append(weak, [NewEvent("waiver.given", actor="ci", actor_kind="ci", data=waiver)])
        proved = ledger.start_run(run_start("b"))
        ledger.append(proved, [NewEvent("invocation.started", invocation=1)])
        ledger.append(
            proved, [NewEvent("invocation.ended")], telemetry=telemetry(proved, grade_min="proved")
        )
        died = ledger.start_run(run_start("c"))
        ledger.append(died, [NewEvent("invocation.started", invocation=1)])
        interrupted = NewEvent("invocation.interrupted", invocation=1)
        ledger.append(died, [interrupted], telemetry=telemetry(died, outcome="partial"))
        ledger.append(died, [NewEvent("invocation.started", invocation=2)])
    return path


def column(path: Path, name: str, wanted: str, **params: str) -> list[object]:
    result = run_query(path, name, params)
    return [row[result.columns.index(wanted)] for row in result.rows]


def test_recent_runs(path: Path) -> None:
    assert column(path, "recent-runs", "job") == ["c", "b", "a"]
    assert column(path, "recent-runs", "outcome", job="c") == ["partial"]
    assert column(path, "recent-runs", "job", skill="none") == []


def test_weak_successes(path: Path) -> None:
    assert column(path, "weak-successes", "job") == ["a"]


def test_waivers(path: Path) -> None:
    result = run_query(path, "waivers")
    assert [row[1:7] for row in result.rows] == [
        ("a", "waiver.given", "tests", "no database here", "ada", "ci")
    ]


def test_blocking_stages(path: Path) -> None:
    rows = run_query(path, "blocking-stages").rows
    assert [row[:5] for row in rows] == [("contract", 1, 1, 0, 1), ("identify", 1, 0, 0, 0)]


def test_interrupted_invocations(path: Path) -> None:
    assert column(path, "interrupted-invocations", "state") == ["open", "interrupted"]


def test_stage_times(path: Path) -> None:
    assert run_query(path, "stage-times").rows[0] == ("contract", 1, 2.5, 2.5, 2.5, 2.5)


@pytest.mark.parametrize("name", named_queries())
def test_every_named_query_says_what_it_answers(path: Path, name: str) -> None:
    query = named_queries()[name]
    assert query.sentence.endswith((".", "?")) and query.sentence[0].isupper()
    assert all(f":{param.name}" in query.sql and param.description for param in query.params)
    assert run_query(path, name).columns


def test_own_words_parameters_and_the_limit(path: Path) -> None:
    result = run_query(
        path,
        "SELECT n FROM event WHERE type = :type ORDER BY seq",
        {"type": "invocation.started"},
        limit=2,
    )
    assert (result.columns, result.rows, result.truncated) == (("n",), ((2,), (2,)), True)
    assert not run_query(path, "select 1", limit=1).truncated
    assert run_query(path, "select 1", limit=0).truncated


def test_values_are_json(path: Path) -> None:
    (row,) = run_query(path, "SELECT x'00ff', 9e999, CAST(x'ff' AS TEXT), 1.5, NULL").rows
    assert json.loads(json.dumps(row, allow_nan=False)) == [
        "00ff",
        "inf",
        "\N{REPLACEMENT CHARACTER}",
        1.5,
        None,
    ]


@pytest.mark.parametrize(
    "sql",
    [
        *(
            "SELECT count(*) FROM run_status",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "PRAGMA table_info(event)",
        ),
        *(
            "SELECT value FROM json_each('[1]')",
            "EXPLAIN QUERY PLAN SELECT * FROM event",
            "SELECT * FROM sqlite_schema",
        ),
    ],
)
def test_reads(path: Path, sql: str) -> None:
    assert run_query(path, sql).columns


@pytest.mark.parametrize(
    "sql",
    [
        *(
            "DELETE FROM event",
            "UPDATE run SET actor = 'eve'",
            "INSERT INTO run SELECT * FROM run",
            "DROP TABLE event",
        ),
        *(
            "CREATE TABLE x (a)",
            "CREATE TEMP TABLE x (a)",
            "DROP TRIGGER event_no_update",
            "ALTER TABLE run ADD x",
        ),
        *(
            "ATTACH ':memory:' AS x",
            "ATTACH 'elsewhere.db' AS x",
            "DETACH main",
            "VACUUM INTO 'copy.db'",
            "VACUUM;",
        ),
        *(
            "PRAGMA user_version = 9",
            "PRAGMA journal_mode = wal",
            "PRAGMA query_only = 0",
            "PRAGMA writable_schema = 1",
        ),
        *("SELECT * FROM pragma_wal_checkpoint", "BEGIN;", "SAVEPOINT x", "REINDEX;", "ANALYZE;"),
        *(
            "SELECT load_extension('x')",
            "SELECT 1; DELETE FROM event",
            "WITH a AS (SELECT 1) DELETE FROM event",
        ),
        *(
            "SELEC 1",
            "SELECT nothing FROM event",
            "SELECT :missing",
            "SELECT zeroblob(99999999)",
            "SELECT '\0'",
        ),
        # SQLite quotes bytes of the query which are no text: the ledger is whole.
        "SELECT json_extract('{}', cast(x'ff' AS text))",
        *("", " ; ", "-- nothing", "\ud800 select"),
    ],
)
def test_refuses(path: Path, sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = path.read_bytes()
    with pytest.raises(Misuse) as caught:
        run_query(path, sql)
    assert "\n" not in caught.value.message and caught.value.message.startswith(
        ("the query was refused: ", "no query")
    )
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.db"))


def test_says_which_names_and_parameters_there_are(path: Path) -> None:
    with pytest.raises(Misuse, match="no query 'recent-run'") as caught:
        run_query(path, "recent-run")
    assert "recent-runs" in (caught.value.hint or "")
    with pytest.raises(Misuse, match="recent-runs has no parameter jobs") as caught:
        run_query(path, "recent-runs", {"jobs": "a"})
    assert "skill, job" in (caught.value.hint or "")
    with pytest.raises(Misuse, match="limit"):
        run_query(path, "recent-runs", limit=-1)


def test_an_endless_query_ends(path: Path) -> None:
    numbers = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
    with pytest.raises(Misuse, match=r"took longer than 0\.05 s") as caught:
        run_query(path, f"{numbers} SELECT max(x) FROM n", time_limit_s=0.05)
    assert caught.value.hint == "narrow it with WHERE"
    assert run_query(path, f"{numbers} SELECT x FROM n", limit=3).rows == ((1,), (2,), (3,))


def test_no_ledger_to_ask(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnusable, match="no ledger here yet"):
        run_query(tmp_path / "ledger.db", "recent-runs")
    assert not list(tmp_path.iterdir())
