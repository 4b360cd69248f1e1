"""A command that stumbles over a row which nobody wrote says so in one line: it is no bug of ours,
and no traceback.
"""

from __future__ import annotations

from pathlib import Path

import exported
import helpers
import ledgers
import pytest

from skillrun.ledger.tampered import find_tampered_ledger

# event of the run -> what is written over its data
ROWS = {
    "stage.finished": '{"excerpts": [[]], "findings": 7}',
    "invocation.ended": '{"report": [], "seal": []}',
}
COMMANDS = (
    *(
        "list",
        "show RUN",
        "show RUN --html page.html",
        "stats",
        "query timeline",
        "query weak-successes",
    ),
    *(
        "export --format jsonl",
        "export --format otlp",
        "export --format csv --table event",
        "anchor --to heads",
    ),
)


def filled(folder: Path) -> str:
    """A ledger in which one event of each of ROWS was overwritten; its run."""
    folder.mkdir()
    (run_id,) = exported.filled(folder / "ledger.db")
    with ledgers.triggers_away(folder / "ledger.db") as db:
        for type_, data in ROWS.items():
            db.execute(
                "UPDATE event SET data = ? WHERE seq = (SELECT min(seq) FROM event WHERE type = ?)",
                (data, type_),
            )
    return run_id


@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_one_line_or_an_answer(tmp_path: Path, command: str) -> None:
    run_id = filled(tmp_path / "place")
    args = command.replace("RUN", run_id).split()
    done = helpers.run_cli("ledger", *args, "--ledger", "ledger.db", cwd=tmp_path / "place")
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 4)
    if done.returncode == 4:
        said, hint = done.stderr.splitlines()
        assert f"ledger.db: it is not as it was written: run {run_id}, event " in said
        assert "the row does not fit its hash" in said
        assert hint.startswith("  do: skillrun ledger verify says all")


def test_the_page_stumbles(tmp_path: Path) -> None:
    run_id = filled(tmp_path / "place")
    args = ("show", run_id, "--html", "page.html", "--ledger", "ledger.db")
    assert helpers.run_cli("ledger", *args, cwd=tmp_path / "place").returncode == 4
    assert not (tmp_path / "place" / "page.html").exists()


@pytest.mark.real
def test_the_page_in_the_browser_says_it_too(tmp_path: Path) -> None:
    pytest.importorskip("datasette")
    from served import served

    run_id = filled(tmp_path / "place")
    with served(tmp_path / "place" / "ledger.db") as server:
        status, text, _ = server.ask(f"/run/{run_id}")
    assert status == 503
    assert "it is not as it was written" in text


def test_a_whole_ledger_and_no_ledger_are_no_reason(tmp_path: Path) -> None:
    exported.filled(tmp_path / "ledger.db")
    assert find_tampered_ledger([tmp_path / "ledger.db", tmp_path / "missing.db"]) is None
