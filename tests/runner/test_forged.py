"""What somebody else wrote into a ledger or the state folder is not believed, be it a pass, a
report or a proof.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import helpers
import pytest
import shops
from rows import real_but

from skillrun.ledger import chain
from skillrun.ledger.store import Ledger, NewEvent

FAILING = "test:\n\tfalse\n"


@pytest.fixture
def failing(finished_shop: Path) -> Path:
    """A shop whose validations fail."""
    (finished_shop / "Makefile").write_text(FAILING)
    helpers.commit(finished_shop, "It fails")
    assert shops.stages(shops.report(finished_shop, code=1))["validate"] == "failed"
    return finished_shop


def run_of(repo: Path) -> str:
    (row,) = shops.select(
        shops.ledger_of(repo), "SELECT run_id FROM run ORDER BY started_us DESC LIMIT 1"
    )
    return str(row["run_id"])


def last_event(repo: Path, where: str) -> dict[str, Any]:
    query = f"SELECT * FROM event WHERE {where} ORDER BY seq DESC LIMIT 1"
    (row,) = shops.select(shops.ledger_of(repo), query)
    return {**row, "data": json.loads(row["data"])}


def append_by_library(repo: Path, event: NewEvent) -> None:
    """A correct hash, by skillrun's own code."""
    with Ledger.open(shops.ledger_of(repo)) as ledger:
        ledger.append(run_of(repo), [event])


def append_by_hand(repo: Path, event: NewEvent) -> None:
    """A correct hash, by whoever has read how it is made."""
    run_id, data = run_of(repo), json.dumps(dict(event.data), sort_keys=True, separators=(",", ":"))
    with closing(sqlite3.connect(shops.ledger_of(repo))) as db, db:
        query = "SELECT n, hash FROM event WHERE run_id = ? ORDER BY n DESC LIMIT 1"
        n, prev = db.execute(query, (run_id,)).fetchone()
        row = (
            *(
                run_id,
                n + 1,
                event.type,
                event.invocation,
                event.stage,
                None,
                1_800_000_000_000_000,
                event.dur_us,
            ),
            *(
                event.outcome,
                event.actor,
                event.actor_kind,
                event.fingerprint,
                None,
                None,
                None,
                data,
            ),
        )
        columns = (*chain.EVENT_COLUMNS, "prev", "hash")
        places = ", ".join("?" * len(columns))
        values = (*row, prev, chain.event_hash(prev, row))
        db.execute(f"INSERT INTO event ({', '.join(columns)}) VALUES ({places})", values)


def as_new(event: dict[str, Any], **changed: Any) -> NewEvent:
    names = (
        "type",
        "stage",
        "dur_us",
        "outcome",
        "actor",
        "actor_kind",
        "fingerprint",
        "invocation",
        "data",
    )
    kept = {name: event[name] for name in names}
    kept["data"] = {name: value for name, value in event["data"].items() if name != chain.SEAL}
    return NewEvent(**{**kept, **changed})


APPENDS = [append_by_library, append_by_hand]


@pytest.mark.real
@pytest.mark.parametrize("append", real_but(APPENDS, append_by_library))
def test_a_pass_that_somebody_appended_is_none(
    failing: Path, append: Callable[[Path, NewEvent], None]
) -> None:
    event = as_new(last_event(failing, "stage = 'validate'"), outcome="passed")
    event.data["result"].update(status="passed", findings=[], next=[])
    append(failing, event)
    assert shops.asked(failing, "ledger verify")["integrity"] == "whole"
    report = shops.report(failing, code=1)
    assert shops.stages(report)["validate"] == "failed"


@pytest.mark.real
@pytest.mark.parametrize("append", real_but(APPENDS, append_by_library))
def test_a_report_that_somebody_appended_is_not_repeated(
    failing: Path, append: Callable[[Path, NewEvent], None]
) -> None:
    event = as_new(last_event(failing, "type = 'invocation.ended'"), outcome="success")
    event.data["report"].update(outcome="success", next=[])
    event.data["settled"] = True
    append(failing, event)
    assert shops.report(failing, code=1)["outcome"] == "partial"


def test_an_agent_is_not_done_because_of_such_a_report(failing: Path) -> None:
    event = as_new(last_event(failing, "type = 'invocation.ended'"), outcome="success")
    event.data["report"].update(outcome="success", next=[])
    for stage in event.data["report"]["stages"]:
        stage["status"] = "passed"
    append_by_library(failing, event)
    said = json.dumps({"cwd": str(failing), "hook_event_name": "Stop", "stop_hook_active": False})
    done = helpers.run_cli("hook", "claude", "stop", cwd=failing, input=said)
    assert "not recorded by skillrun for this user" in done.stdout
    assert "not recorded by skillrun for this user" in helpers.run_cli("status", cwd=failing).stderr


@pytest.mark.real
def test_a_waiver_that_somebody_appended_waives_nothing(failing: Path) -> None:
    words = {"item": "validate", "reason": "all agreed", "by": "me (human)", "from": "command line"}
    append_by_library(
        failing, NewEvent("waiver.given", actor="me", actor_kind="human", invocation=9, data=words)
    )
    assert shops.stages(shops.report(failing, code=1))["validate"] == "failed"


@pytest.mark.real
def test_a_signature_does_not_move_to_another_run(finished_shop: Path) -> None:
    """The files are the same, and what the command needs besides them is gone."""
    needed = finished_shop.with_name("needed")
    needed.touch()
    (finished_shop / "Makefile").write_text("test:\n\ttest -e ../needed\n")
    shops.run(finished_shop, code=0)
    passed = last_event(finished_shop, "stage = 'validate' AND outcome = 'passed'")
    needed.unlink()
    shops.run(finished_shop, "--new-run", "--until", "tests", code=1)
    append_by_library(finished_shop, as_new(passed))
    assert shops.stages(shops.report(finished_shop, code=1))["validate"] == "failed"


@pytest.mark.real
def test_a_ledger_that_a_clone_brings_along_is_not_believed(failing: Path, tmp_path: Path) -> None:
    """Its runs are those of whoever committed it, with another key."""
    (failing / "Makefile").write_text(shops.QUICK)
    shops.run(failing, code=0)
    repo = tmp_path / "clone"
    shutil.copytree(failing, repo)
    with closing(sqlite3.connect(shops.ledger_of(repo))) as db, db:
        for (name,) in db.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
        ).fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute("UPDATE run SET repo = ?", (str(repo),))
    shops.run(repo, code=3)


@pytest.mark.real
def test_a_run_with_an_edited_row_is_left_and_a_new_one_begins(finished_shop: Path) -> None:
    before = run_of(finished_shop)
    with closing(sqlite3.connect(shops.ledger_of(finished_shop))) as db, db:
        for (name,) in db.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
        ).fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute("UPDATE event SET actor = 'somebody' WHERE n = 2")
    (finished_shop / "README.md").write_text("Another.\n")
    done = helpers.run_cli(shops.SKILL, cwd=finished_shop)
    assert done.returncode == 0
    assert "is not as it was written (event 2" in done.stderr
    assert run_of(finished_shop) != before


@pytest.mark.real
def test_a_run_with_an_edited_row_is_not_repeated_where_nothing_else_changed(
    finished_shop: Path,
) -> None:
    before = run_of(finished_shop)
    with closing(sqlite3.connect(shops.ledger_of(finished_shop))) as db, db:
        for (name,) in db.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'trigger'"
        ).fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute("UPDATE event SET actor = 'somebody' WHERE n = 2")
    done = helpers.run_cli(shops.SKILL, cwd=finished_shop)
    assert "is not as it was written (event 2" in done.stderr
    assert run_of(finished_shop) != before


# -- honest neighbours


@pytest.mark.real
def test_what_skillrun_wrote_is_believed_again(finished_shop: Path) -> None:
    report = shops.report(finished_shop, code=0)
    assert shops.worked(report) == []
    (finished_shop / "README.md").write_text("Another.\n")
    assert shops.worked(shops.report(finished_shop, code=0)) == ["validate"]


@pytest.mark.real
def test_after_a_redaction_it_is_believed_still(finished_shop: Path) -> None:
    n = last_event(finished_shop, "stage = 'validate'")["n"]
    words = ("ledger", "redact", run_of(finished_shop), str(n), "--reason", "long texts")
    done = helpers.run_cli(*words, cwd=finished_shop)
    assert done.returncode in (0, 2), done.stderr
    (finished_shop / "README.md").write_text("Another.\n")
    done = helpers.run_cli(shops.SKILL, cwd=finished_shop)
    assert done.returncode == 0
    assert "not believed" not in done.stderr


@pytest.mark.real
def test_without_the_key_everything_is_examined_again(finished_shop: Path) -> None:
    key = finished_shop.with_name(f"{finished_shop.name}.home") / "state" / "ledger.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.unlink()
    done = helpers.run_cli(shops.SKILL, cwd=finished_shop)
    assert done.returncode == 0
    assert "not recorded by skillrun for this user" in done.stderr
    assert shops.worked(shops.report(finished_shop, code=0)) == []


# -- kept proofs


@pytest.mark.real
def test_a_kept_proof_counts_as_it_was_recorded(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo", proof=True)
    shops.run(repo, "--trust", "--until", "tests", code=1)
    (kept,) = (repo.with_name("repo.home") / "state" / "proofs").iterdir()
    again = helpers.run_cli("run", shops.SKILL, "--new-run", "--until", "tests", "--json", cwd=repo)
    assert "runs:" not in again.stdout
    assert "the kept proof" not in again.stderr
    proved = {stage["id"]: stage["grade"] for stage in json.loads(again.stdout)["stages"]}
    assert proved["retry"] == "proved"

    value = json.loads(kept.read_bytes())
    value["report"]["schedules"]["total"] = 100_000
    kept.write_text(json.dumps(value))
    forged = helpers.run_cli(
        "run", shops.SKILL, "--new-run", "--until", "tests", "--json", cwd=repo
    )
    assert "the kept proof is not one that this ledger records" in forged.stderr
    assert "100000 schedules" not in forged.stdout
