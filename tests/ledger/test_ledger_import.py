"""Telemetry of other tools becomes declared runs: whole or not at all, and each line once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import exported
import helpers
import ledgers
import pytest

from skillrun.ledger.store import Ledger
from skillrun.ledger.verify import verify_ledger

# The example of the family's own description of the format.
LINE: dict[str, Any] = {
    "schema_version": "1",
    "ts_utc": "2026-01-09T14:21:11Z",
    "repo": "tradingbot",
    "git_head": "abc1234",
    "run_id": "run_20260109_1420_01",
    "skill_id": "backend/endpoint-scaffold",
    "intent": "Add POST /api/orders/conditional",
    "inputs": {"method": "POST", "path": "/api/orders/conditional"},
    "outputs": {
        "files_changed": ["backend/app/api/orders/conditional.py"],
        "commands_ran": ["pytest -q"],
    },
    "checks": {"attempted": ["tests"], "passed": ["tests"], "failed": []},
    "outcome": "success",
    "duration_ms": 84213,
}


def written(path: Path, *lines: dict[str, Any] | str) -> Path:
    path.write_text(
        "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    )
    return path


def imported(file: Path, *args: str, code: int = 0) -> str:
    done = helpers.run_cli(
        "ledger", "import", file, "--ledger", file.parent / "ledger.db", *args, cwd=file.parent
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


def test_a_line_becomes_a_declared_run_with_a_chain_of_its_own(tmp_path: Path) -> None:
    exported.filled(tmp_path / "ledger.db")
    file = written(
        tmp_path / "x.jsonl", LINE, {**LINE, "ts_utc": "2026-01-09T15:00:00Z", "outcome": "fail"}
    )
    assert "2 lines imported into 1 run" in imported(file)
    with Ledger.open(tmp_path / "ledger.db", read_only=True) as ledger:
        (run,) = ledger.runs(skill="backend/endpoint-scaffold")
        rows = ledger.telemetry(run["run_id"])[::-1]
        events = ledger.events(run["run_id"])
    assert (run["repo"], run["job"], run["base_commit"], run["host_id"]) == (
        "tradingbot",
        None,
        "abc1234",
        "imported",
    )
    assert [row["grade_min"] for row in rows] == ["declared", "declared"]
    assert [row["outcome"] for row in rows] == ["success", "partial"]
    assert rows[0]["files_touched"] == LINE["outputs"]["files_changed"]
    assert [event["type"] for event in events] == [
        "run.started",
        "invocation.imported",
        "invocation.imported",
    ]
    report = verify_ledger(tmp_path / "ledger.db")
    assert (report.integrity, report.completeness) == ("whole", "complete")


@pytest.mark.real
def test_a_line_comes_back_as_it_was(tmp_path: Path) -> None:
    lines = [LINE, {**LINE, "outcome": "fail", "followups": ["mend it"], "git_head": "unknown"}]
    imported(written(tmp_path / "x.jsonl", *lines))
    done = helpers.run_cli(
        "ledger", "export", "--format", "jsonl", "--ledger", "ledger.db", cwd=tmp_path
    )
    back = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(line.pop("skillrun")["imported"] for line in back)
    assert back == lines


@pytest.mark.real
def test_the_same_line_is_imported_once(tmp_path: Path) -> None:
    file = written(tmp_path / "x.jsonl", LINE, LINE, json.dumps(LINE, indent=None, sort_keys=True))
    assert "1 line imported into 1 run, 2 lines known already" in imported(file)
    assert "0 lines imported" in imported(file)
    more = written(tmp_path / "y.jsonl", LINE, {**LINE, "ts_utc": "2026-01-10T00:00:00Z"})
    assert json.loads(imported(more, "--json")) == {"lines": 1, "known": 1, "runs": 1}
    with Ledger.open(tmp_path / "ledger.db", read_only=True) as ledger:
        (run,) = ledger.runs()
        assert [row["invocation"] for row in ledger.telemetry(run["run_id"])] == [2, 1]


def test_lines_of_another_repository_or_skill_are_another_run(tmp_path: Path) -> None:
    others = [{**LINE, "repo": "shop"}, {**LINE, "skill_id": "plain"}, {**LINE, "run_id": "2"}]
    assert "4 lines imported into 4 runs" in imported(written(tmp_path / "x.jsonl", LINE, *others))


@pytest.mark.real
def test_what_skillrun_exports_it_can_read(tmp_path: Path) -> None:
    exported.filled(tmp_path / "native.db")
    done = helpers.run_cli(
        "ledger", "export", "--format", "jsonl", "--ledger", "native.db", cwd=tmp_path
    )
    (tmp_path / "x.jsonl").write_text(done.stdout)
    imported(tmp_path / "x.jsonl")
    with Ledger.open(tmp_path / "ledger.db", read_only=True) as ledger:
        (row,) = ledger.telemetry()
    assert (row["grade_min"], row["outcome"]) == ("declared", "partial")


BAD: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "not JSON"),
    "NaN": (json.dumps(LINE).replace("84213", "NaN"), "NaN is no JSON"),
    "a list": ("[]", "is not of type 'object'"),
    "a field is missing": (
        {k: v for k, v in LINE.items() if k != "intent"},
        "'intent' is a required property",
    ),
    "another version": ({**LINE, "schema_version": "2"}, "schema_version: '1' was expected"),
    "no date": ({**LINE, "ts_utc": "2026-02-30T00:00:00Z"}, "is no date"),
    "a foreign outcome": ({**LINE, "outcome": "ok"}, "outcome: 'ok' is not one of"),
    "a negative time": ({**LINE, "duration_ms": -1}, "duration_ms: -1 is less than the minimum"),
    "deep": ("[" * 100_000, "nested too deep"),
    "hidden characters": ({**LINE, "outcome": "\u202e\x1b"}, "\\u202e"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_is_named_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    line, words = BAD[name]
    said = imported(written(tmp_path / "x.jsonl", LINE, "", line, LINE), code=4)
    assert "x.jsonl:3: " in said
    assert words in said
    assert "nothing was written" in said
    assert not (tmp_path / "ledger.db").exists()
    assert "\u202e" not in said


def test_every_bad_line_is_named_up_to_ten(tmp_path: Path) -> None:
    said = imported(written(tmp_path / "x.jsonl", *["{"] * 30), code=4)
    assert "x.jsonl:1: " in said
    assert "x.jsonl:10: " in said
    assert "x.jsonl:11: " not in said


def test_bytes_that_are_no_text_and_lines_without_end_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b"\xff\n")
    assert "x.jsonl:1: not UTF-8" in imported(tmp_path / "x.jsonl", code=4)
    (tmp_path / "x.jsonl").write_bytes(b" " * 10 + b"1" * 3_000_000)
    assert "x.jsonl:1: longer than 1,000,000 bytes" in imported(tmp_path / "x.jsonl", code=4)


def test_no_file_is_one_line(tmp_path: Path) -> None:
    assert "No such file" in imported(tmp_path / "gone.jsonl", code=2)
    assert "a folder, not a file" in imported(written(tmp_path / "ok", LINE).parent / ".", code=2)


def test_secrets_of_another_tool_are_masked(tmp_path: Path) -> None:
    inputs = {"url": "https://ada:hunter2secret@example.com", "password": "hunter2secret"}
    imported(written(tmp_path / "x.jsonl", {**LINE, "inputs": inputs}))
    assert b"hunter2secret" not in (tmp_path / "ledger.db").read_bytes()


def test_a_failure_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    from skillrun.ledger.exports.reading import import_lines, read_lines

    lines = read_lines(written(tmp_path / "x.jsonl", LINE, {**LINE, "run_id": "2"}))
    with Ledger.open(tmp_path / "ledger.db"):
        pass
    with ledgers.plain(tmp_path / "ledger.db") as db:
        db.execute(
            "CREATE TRIGGER stop BEFORE INSERT ON run WHEN (SELECT count(*) FROM run) = 1 "
            "BEGIN SELECT RAISE(ABORT, 'stop'); END"
        )
    with pytest.raises(Exception, match="stop"):
        import_lines(lines, "x", tmp_path / "ledger.db")
    with ledgers.plain(tmp_path / "ledger.db") as db:
        assert db.execute("SELECT count(*) FROM event").fetchone() == (0,)


def test_the_ledger_of_a_repository_stays_ignored(tmp_path: Path) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {"a": "1"})
    file = written(tmp_path / "x.jsonl", LINE)
    done = helpers.run_cli("ledger", "import", file, cwd=repo)
    assert done.returncode == 0, done.stderr
    assert helpers.git(repo, "status", "--porcelain").strip() == ""
