"""Runs and events go in once, whole, and come back as they were."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from ledgers import fill_run, plain, run_start, telemetry

from skillrun.core.errors import Misuse
from skillrun.core.verdict import Evidence, Outcome, Status
from skillrun.ledger.chain import GENESIS
from skillrun.ledger.ids import uuid7
from skillrun.ledger.store import ConcurrentAppend, EvidenceRow, Ledger, NewEvent


@pytest.fixture
def ledger(tmp_path: Path):
    with Ledger.open(tmp_path / "deep" / "ledger.db") as opened:
        yield opened


def test_a_run_starts_with_an_event(ledger: Ledger) -> None:
    run_id = ledger.start_run(run_start())
    (event,) = ledger.events(run_id)
    assert (event["n"], event["type"], event["prev"]) == (1, "run.started", GENESIS)
    assert ledger.head(run_id) == (1, event["hash"])


def test_a_run_comes_back_as_it_was_given(ledger: Ledger) -> None:
    run_id = ledger.start_run(run_start(base_tree={"odd\udcff": None}))
    run = ledger.run(run_id)
    assert run["base_tree"] == {"odd\udcff": None}
    assert (run["base_commit"], run["dirty"], run["outcome"], run["invocations"]) == (
        "a" * 40,
        1,
        None,
        0,
    )
    assert ledger.run(ledger.start_run(run_start(base_tree=None)))["base_tree"] is None


def test_events_are_numbered_and_chained(ledger: Ledger) -> None:
    run_id = ledger.start_run(run_start())
    stored = ledger.append(run_id, [NewEvent("a"), NewEvent("b", data={"x": [1, "ü", None]})])
    assert [event.n for event in stored] == [2, 3]
    events = ledger.events(run_id)
    assert [event["prev"] for event in events] == [
        GENESIS,
        *[event["hash"] for event in events[:-1]],
    ]
    assert events[-1]["data"] == {"x": [1, "ü", None]}
    assert [event["n"] for event in ledger.events(run_id, after=2)] == [3]
    assert [event["n"] for event in ledger.events(run_id, type="a")] == [2]


def test_enums_and_odd_file_names_are_stored_as_text(ledger: Ledger) -> None:
    run_id = ledger.start_run(run_start())
    evidence = EvidenceRow.of(Evidence("file", "odd\udcff\n.py", "c" * 64, 3, 1, {"tail": "…"}))
    ledger.append(
        run_id, [NewEvent("stage.finished", "identify", outcome=Status.PASSED)], evidence=[evidence]
    )
    ledger.append(run_id, [NewEvent("end")], telemetry=telemetry(run_id, outcome=Outcome.BLOCKED))
    assert ledger.events(run_id)[1]["outcome"] == "passed"
    assert ledger.evidence(run_id, 2)[0]["path"] == "odd\\udcff\n.py"
    assert ledger.evidence(run_id)[0]["detail"] == {"tail": "…"}
    assert ledger.telemetry(run_id)[0]["outcome"] == "blocked"


def test_an_append_is_all_or_nothing(ledger: Ledger) -> None:
    run_id = ledger.start_run(run_start())
    before = ledger.head(run_id)
    with pytest.raises(sqlite3.IntegrityError):
        ledger.append(run_id, [NewEvent("x")], telemetry=telemetry(run_id, outcome="splendid"))
    with pytest.raises(ValueError):
        ledger.append(run_id, [NewEvent("x"), NewEvent("y", data={"seal": 1})])
    assert ledger.head(run_id) == before
    ledger.append(run_id, [NewEvent("x")])


def test_an_append_on_a_head_that_moved_is_refused(ledger: Ledger) -> None:
    run_id = ledger.start_run(run_start())
    ledger.append(run_id, [NewEvent("x")], expect_n=1)
    with pytest.raises(ConcurrentAppend):
        ledger.append(run_id, [NewEvent("x")], expect_n=1)
    assert ledger.head(run_id)[0] == 2


def test_an_invocation_has_one_telemetry_row(ledger: Ledger) -> None:
    run_id = fill_run(ledger)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        ledger.append(run_id, [NewEvent("x")], telemetry=telemetry(run_id, 1))


def test_the_newest_run_comes_first(ledger: Ledger) -> None:
    first, second, other = (fill_run(ledger, job) for job in ("a", "a", "b"))
    assert [run["run_id"] for run in ledger.runs()] == [other, second, first]
    assert [run["run_id"] for run in ledger.runs(job="a", limit=1)] == [second]
    assert ledger.runs(skill="none") == []
    latest = ledger.latest_run("backend/job-worker-orchestration", "a", "/shop")
    assert latest and (latest["run_id"], latest["outcome"], latest["invocations"]) == (
        second,
        "success",
        2,
    )
    assert ledger.latest_run("backend/job-worker-orchestration", None, "/shop") is None


def test_the_latest_event_of_a_type_and_of_each_stage(ledger: Ledger) -> None:
    run_id = fill_run(ledger)
    assert {stage: event["n"] for stage, event in ledger.latest_stages(run_id).items()} == {
        "identify": 7,
        "contract": 8,
    }
    assert (ledger.last_event(run_id, "invocation.started") or {})["n"] == 6
    assert (ledger.last_event(run_id, "stage.finished", "identify") or {})["data"][
        "invocation"
    ] == 2
    assert (ledger.last_event(run_id, "stage.finished") or {})["n"] == 8
    assert ledger.last_event(run_id, "waiver.given") is None


def test_the_reads_of_the_hot_path_use_an_index(ledger: Ledger) -> None:
    plans = {
        "n = 1 AND type = 'x' AND type <> 'stage.finished' ORDER BY n DESC": "run_id=? AND n=?",
        "type = :t AND type <> 'stage.finished' ORDER BY n DESC": (
            "event_by_type (type=? AND run_id=?)"
        ),
        "type = :t AND type = 'stage.finished' AND stage = 'x' ORDER BY n DESC": (
            "event_by_stage (run_id=?"
        ),
    }
    with plain(ledger.path) as db:
        for where, index in plans.items():
            query = f"EXPLAIN QUERY PLAN SELECT * FROM event WHERE run_id = 'r' AND {where}"
            assert index in " ".join(row[3] for row in db.execute(query, {"t": "x"}))


def test_an_invocation_is_open_until_it_has_its_row(ledger: Ledger) -> None:
    run_id = fill_run(ledger, invocations=1)
    ledger.append(run_id, [NewEvent("invocation.started", invocation=2)])
    assert ledger.open_invocations(run_id) == [2]
    assert ledger.run(run_id)["open_invocations"] == 1
    ledger.append(
        run_id, [NewEvent("invocation.interrupted", invocation=2)], telemetry=telemetry(run_id, 2)
    )
    assert ledger.open_invocations(run_id) == []


def test_telemetry_comes_back_with_lists(ledger: Ledger) -> None:
    run_id = fill_run(ledger)
    row = ledger.telemetry(run_id, limit=1)[0]
    assert (row["invocation"], row["checks_attempted"], row["files_touched"]) == (
        2,
        ["a", "b"],
        ["shop/tasks.py"],
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", row["ts_utc"])
    assert len(ledger.telemetry()) == 2


@pytest.mark.parametrize(
    "column, value",
    [
        *(
            ("trigger", "cosmic"),
            ("idempotency", "yes"),
            ("retries", "forever"),
            ("tests_added", "some"),
        ),
        *(
            ("outcome", "done"),
            ("actor_kind", "cat"),
            ("grade_min", "rumoured"),
            ("duration_ms", -1),
        ),
    ],
)
def test_telemetry_holds_only_the_words_of_the_contract(
    ledger: Ledger, column: str, value: object
) -> None:
    run_id = ledger.start_run(run_start())
    with pytest.raises(sqlite3.IntegrityError):
        ledger.append(run_id, [NewEvent("x")], telemetry=telemetry(run_id, **{column: value}))


def test_a_run_is_found_by_the_beginning_of_its_id(ledger: Ledger) -> None:
    run_id, other = ledger.start_run(run_start()), ledger.start_run(run_start())
    assert ledger.resolve_run(run_id) == run_id
    assert ledger.resolve_run(run_id[:-6].upper()) == run_id
    with pytest.raises(Misuse, match=f"more than one run: {run_id}, {other}"):
        ledger.resolve_run(run_id[:6])
    for nothing in ("ffff", "", "%", "' OR 1 --"):
        with pytest.raises(Misuse, match="no run"):
            ledger.resolve_run(nothing)


def test_an_unknown_run_is_said(ledger: Ledger) -> None:
    for ask in (ledger.head, ledger.run, lambda run_id: ledger.append(run_id, [NewEvent("x")])):
        with pytest.raises(Misuse, match="no run nobody"):
            ask("nobody")


def test_ids_are_version_7_and_grow() -> None:
    ids = [uuid7() for _ in range(1000)]
    assert ids == sorted(set(ids))
    assert all(
        re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", id)
        for id in ids
    )
