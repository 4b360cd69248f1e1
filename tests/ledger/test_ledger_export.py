"""Exports: each format is what its reader expects, nothing hostile gets through, and files are
whole or not there.
"""

from __future__ import annotations

import csv
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import exported
import helpers
import ledgers
import pytest
from jsonschema import Draft202012Validator

from skillrun.core.resources import resource
from skillrun.ledger.exports.registry import LINES, NAMES
from skillrun.ledger.exports.source import TABLES, Source
from skillrun.ledger.exports.writing import write_file
from skillrun.ledger.store import Ledger, NewEvent
from skillrun.reports.page.build import run_page

SCHEMA = json.loads(resource("schemas", "telemetry.v1.json").read_text())


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    exported.filled(tmp_path / "ledger.db")
    return tmp_path / "ledger.db"


def export(ledger: Path, *args: str | Path, code: int = 0) -> str:
    """What the command printed."""
    done = helpers.run_cli("ledger", "export", "--ledger", ledger, *args, cwd=ledger.parent)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


def documents(ledger: Path, format: str, **chosen: str) -> list[Any]:
    """The JSON documents of a format of lines."""
    with Source(ledger, **chosen) as source:
        return [
            json.loads(line) for line in "".join(LINES[format].format_lines(source)).splitlines()
        ]


def strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, member in value.items() for text in (key, *strings(member))]
    return [text for member in value for text in strings(member)] if isinstance(value, list) else []


def test_a_line_is_telemetry_v1(ledger: Path) -> None:
    (line,) = documents(ledger, "jsonl")
    assert list(Draft202012Validator(SCHEMA).iter_errors(line)) == []
    assert (line["schema_version"], line["skill_id"]) == ("1", "backend/job-worker-orchestration")
    assert line["git_head"] == "c" * 40
    assert line["checks"] == {"attempted": ["a", "b"], "passed": ["a"], "failed": ["b"]}
    assert line["outputs"]["files_changed"] == ["shop/tasks.py"]
    assert line["outputs"]["commands_ran"][0].startswith("make lint ")
    assert (line["outcome"], line["duration_ms"]) == ("partial", 90)
    assert line["inputs"]["job"] == "send-receipt"
    assert line["followups"][0].startswith("retry: name the errors")
    with Ledger.open(ledger, read_only=True) as opened:
        assert line["skillrun"]["hash"] == opened.head(line["run_id"])[1]


def test_the_schema_refuses_what_is_no_line(ledger: Path) -> None:
    (line,) = documents(ledger, "jsonl")
    wrong: list[dict[str, Any]] = [
        {"schema_version": 1},
        {"ts_utc": "yesterday"},
        {"outcome": "splendid"},
        {"checks": {"attempted": []}},
        {"duration_ms": "9"},
        {"intent": "x" * 501},
        {"outputs": {"files_changed": [1], "commands_ran": []}},
    ]
    for change in wrong:
        assert not Draft202012Validator(SCHEMA).is_valid({**line, **change}), change
    for name in SCHEMA["required"]:
        assert not Draft202012Validator(SCHEMA).is_valid(
            {k: v for k, v in line.items() if k != name}
        ), name


def test_strings_are_short_and_nothing_is_hidden_in_them(ledger: Path) -> None:
    for format in LINES:
        found = strings(documents(ledger, format))
        assert max(map(len, found)) <= 500, format
        assert not any("\u202e" in text or "\x1b" in text for text in found), format
    assert "\\u202e" in documents(ledger, "jsonl")[0]["outputs"]["commands_ran"][0]


def test_secrets_are_masked(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.open(path) as opened:
        run_id = opened.start_run(
            ledgers.run_start(repo="https://ada:hunter2secret@example.com/shop")
        )
        ended = NewEvent("invocation.ended", invocation=1)
        row = ledgers.telemetry(run_id, repo="https://ada:hunter2secret@example.com/shop")
        opened.append(run_id, [ended], telemetry=row)
    for format in ("jsonl", "otlp"):
        assert "hunter2secret" not in json.dumps(documents(path, format)), format


def test_an_invocation_that_has_not_ended_is_not_told(ledger: Path) -> None:
    with Ledger.open(ledger) as opened:
        run_id = opened.runs()[0]["run_id"]
        opened.append(
            run_id,
            [NewEvent("invocation.started", invocation=2), exported.stage("retry", "passed")],
        )
    assert len(documents(ledger, "jsonl")) == 1
    assert sum("parentSpanId" not in span for span in spans(ledger)) == 1


# -- which runs


def test_runs_are_chosen_by_id_and_date(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    first, second = exported.filled(path, runs=2)
    assert [line["run_id"] for line in documents(path, "jsonl")] == [first, second]
    assert [line["run_id"] for line in documents(path, "jsonl", run=second)] == [second]
    assert documents(path, "jsonl", since="2999-01-01") == []
    assert len(documents(path, "jsonl", since="2020-01-01T00:00:00+02:00")) == 2


@pytest.mark.parametrize(
    ("args", "words"),
    (
        (["--format", "xml"], "the formats are: jsonl"),
        (["--format", "jsonl", "--since", "soon"], "--since soon: not a date"),
        (["--format", "jsonl", "--run", "zz"], "no run 'zz'"),
        (["--format", "jsonl", "--run", "0"], "begins more than one run"),
        (["--format", "jsonl", "--table", "run"], "jsonl has no tables"),
        (["--format", "csv"], "needs a folder"),
        (["--format", "csv", "--table", "sqlite_schema"], "no such table"),
        (["--format", "jsonl", "-o", "nowhere/file"], "cannot be written"),
    ),
)
def test_a_wrong_question_gets_one_line(tmp_path: Path, args: list[str], words: str) -> None:
    exported.filled(tmp_path / "ledger.db", runs=2)
    assert words in export(tmp_path / "ledger.db", *args, code=2)


def test_no_ledger_no_export(tmp_path: Path) -> None:
    assert "no ledger here yet" in export(tmp_path / "ledger.db", "--format", "jsonl", code=4)


# -- tables


def test_csv_has_a_file_for_each_table_with_every_row(ledger: Path) -> None:
    export(ledger, "--format", "csv", "-o", "out")
    with ledgers.plain(ledger) as db:
        for table in TABLES:
            with (ledger.parent / "out" / f"{table}.csv").open(
                newline="", encoding="utf-8"
            ) as file:
                header, *rows = list(csv.reader(file))
            assert header == [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            assert len(rows) == db.execute(f"SELECT count(*) FROM {table}").fetchone()[0], table
    assert not list((ledger.parent / "out").glob(".*"))


@pytest.mark.parametrize(
    "cell", ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\u00a0=1", "\uff1d1")
)
def test_no_cell_is_a_formula(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.open(path) as opened:
        opened.start_run(ledgers.run_start(job=cell, spec_path=f"{cell}\x00\u202e"))
    (row,) = csv.DictReader(
        export(path, "--format", "csv", "--table", "run").splitlines(keepends=True)
    )
    assert row["job"].startswith("'"), row["job"]
    assert "\u202e" not in row["spec_path"]


@pytest.mark.real
def test_numbers_stay_numbers(ledger: Path) -> None:
    with ledgers.triggers_away(ledger) as db:
        db.execute("UPDATE telemetry SET duration_ms = 7")
    (row,) = csv.DictReader(
        export(ledger, "--format", "csv", "--table", "telemetry").splitlines(keepends=True)
    )
    assert (row["duration_ms"], row["agent"]) == ("7", "")


# -- in-toto


def test_a_statement_speaks_of_the_commit(ledger: Path) -> None:
    (statement,) = documents(ledger, "intoto")
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] == [{"name": "gitCommit", "digest": {"gitCommit": "c" * 40}}]
    assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    predicate = statement["predicate"]
    assert predicate["result"] == "FAILED"
    assert predicate["passedTests"] == ["identify"]
    assert predicate["warnedTests"] == ["contract", "tests"]
    assert predicate["failedTests"] == ["retry", "check/bounded"]
    with Ledger.open(ledger, read_only=True) as opened:
        head = opened.head(opened.runs()[0]["run_id"])[1]
    assert head in [item["digest"]["sha256"] for item in predicate["configuration"]]


def test_without_a_commit_there_is_nothing_to_state(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.db") as opened:
        ledgers.fill_run(opened)
    assert "has ended on a commit" in export(tmp_path / "ledger.db", "--format", "intoto", code=4)


# -- OTLP


def spans(ledger: Path) -> list[dict[str, Any]]:
    (document,) = documents(ledger, "otlp")
    return [
        span
        for each in document["resourceSpans"]
        for scope in each["scopeSpans"]
        for span in scope["spans"]
    ]


def attributes(value: dict[str, Any]) -> dict[str, Any]:
    return {item["key"]: next(iter(item["value"].values())) for item in value["attributes"]}


def test_spans_follow_the_genai_conventions(ledger: Path) -> None:
    root, identify, retry, lint = spans(ledger)
    assert root["name"] == "invoke_workflow job-worker-orchestration"
    seen = attributes(root)
    assert (seen["gen_ai.operation.name"], seen["gen_ai.workflow.name"]) == (
        "invoke_workflow",
        root["name"][16:],
    )
    assert seen["error.type"] == "partial"
    assert [span["name"] for span in (identify, retry, lint)] == [
        f"execute_tool {name}" for name in ("identify", "retry", "lint")
    ]
    assert identify["parentSpanId"] == retry["parentSpanId"] == root["spanId"]
    assert lint["parentSpanId"] == retry["spanId"]
    assert (identify["status"], retry["status"]["code"], lint["status"]["code"]) == ({}, 2, 2)
    (evaluation,) = [
        event for event in retry["events"] if event["name"] == "gen_ai.evaluation.result"
    ]
    assert attributes(evaluation)["gen_ai.evaluation.score.label"] == "failed"
    assert attributes(lint)["process.exit.code"] == "2"


def test_times_hold_their_children(ledger: Path) -> None:
    found = {span["spanId"]: span for span in spans(ledger)}
    for span in found.values():
        begin, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
        assert 0 < begin <= end
        if "parentSpanId" in span:
            parent = found[span["parentSpanId"]]
            assert (
                int(parent["startTimeUnixNano"]) <= begin <= end <= int(parent["endTimeUnixNano"])
            )


def test_ids_are_the_same_each_time_and_invocations_are_linked(ledger: Path) -> None:
    with Ledger.open(ledger) as opened:
        run_id = opened.runs()[0]["run_id"]
        opened.append(run_id, [NewEvent("invocation.started", invocation=2)])
        ended = NewEvent("invocation.ended", invocation=2)
        opened.append(run_id, [ended], telemetry=ledgers.telemetry(run_id, 2))
    first, *_, second = spans(ledger)
    assert second["links"] == [{"traceId": first["traceId"], "spanId": first["spanId"]}]
    assert first["traceId"] != second["traceId"]
    assert [span["spanId"] for span in spans(ledger)] == [span["spanId"] for span in spans(ledger)]


# -- files


def test_a_file_is_replaced_whole_or_not_at_all(ledger: Path) -> None:
    out = ledger.parent / "out.jsonl"
    export(ledger, "--format", "jsonl", "-o", out)
    before = out.read_bytes()

    def pieces() -> Any:
        yield b"half"
        raise sqlite3.OperationalError("the disk went away")

    with pytest.raises(sqlite3.OperationalError):
        write_file(out, pieces())
    assert out.read_bytes() == before
    assert not list(ledger.parent.glob(".skillrun-*"))


def test_every_format_is_documented() -> None:
    text = (helpers.ROOT / "docs" / "ledger.md").read_text()
    assert all(f"| `{name}` |" in text for name in NAMES)


# -- Parquet


@pytest.mark.real
def test_parquet_has_every_row_as_it_is_stored(ledger: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    export(ledger, "--format", "parquet", "-o", "out")
    with ledgers.plain(ledger) as db:
        for table, order in TABLES.items():
            found = parquet.read_table(ledger.parent / "out" / f"{table}.parquet")
            stored = db.execute(f"SELECT * FROM {table} ORDER BY {order}").fetchall()
            assert [tuple(row.values()) for row in found.to_pylist()] == stored, table


@pytest.mark.real
def test_without_pyarrow_one_line_says_what_to_install(ledger: Path) -> None:
    script = (
        "import sys, importlib.util as u; found = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'pyarrow' else found(name, *a)\n"
        "from skillrun.__main__ import main; main()"
    )
    command = [
        sys.executable,
        "-c",
        script,
        "ledger",
        "export",
        "--format",
        "parquet",
        "-o",
        "out",
        "--ledger",
        ledger,
    ]
    done = subprocess.run(
        command,
        cwd=ledger.parent,
        env=helpers.clean_env(ledger.parent / "home"),
        text=True,
        capture_output=True,
    )
    assert done.returncode == 4, done.stderr
    assert "pip install 'pyarrow>=15'" in done.stderr
    assert not (ledger.parent / "out").exists()


@pytest.mark.real
def test_rows_that_no_skillrun_wrote_stop_nothing(ledger: Path) -> None:
    with ledgers.triggers_away(ledger) as db:
        db.execute("UPDATE event SET data = '[1]' WHERE type = 'stage.finished'")
    assert [span["name"] for span in spans(ledger)][1:] == [
        "execute_tool identify",
        "execute_tool retry",
        "execute_tool lint",
    ]
    assert "<h1>" in run_page(ledger, "0")
