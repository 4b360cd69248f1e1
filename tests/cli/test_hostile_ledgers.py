"""A ledger that holds bytes which are no text: every command says so in a line, and none crashes."""

from __future__ import annotations

import shutil
from pathlib import Path

import helpers
import hostile
import pytest
import shops
from test_hostile_configuration import READING, WRITING

CODES = (0, 1, 2, 3, 4)
QUICK = ("status", "why retry", "next", "ledger list", f"run {shops.SKILL}")
LEDGER = Path(".skillrun", "ledger.db")
# The words of `ledger show` and `ledger redact` that stand for the run.
RUN = "RUN"


def run_of(repo: Path) -> str:
    done = helpers.run_cli("ledger", "query", "SELECT run_id FROM run", "--json", cwd=repo)
    return str(done.stdout.split('"rows"')[1].split('"')[1])


def ends_well(repo: Path, line: str, run: str, *more: str) -> str:
    """What the command says; it has ended with a code of its own, and with no traceback."""
    words = [run if word == RUN else word for word in line.split()]
    done = helpers.run_cli(*words, *more, cwd=repo, input="{}", timeout=120)
    assert done.returncode in CODES, (line, done.stderr)
    assert "Traceback" not in done.stderr, (line, done.stderr)
    assert "Error: " not in done.stderr, (line, done.stderr)
    return done.stderr


@pytest.mark.real
def test_a_schema_that_is_no_text_is_a_damaged_ledger(finished_shop: Path) -> None:
    hostile.spoil(finished_shop / LEDGER, "every name of the schema")
    for line in QUICK:
        said = ends_well(finished_shop, line, RUN)
        assert "ledger.db: damaged (malformed database schema (" in said, line
        assert "do: move it away; a new one is begun" in said, line


def test_a_hook_holds_nobody_up_for_it(finished_shop: Path) -> None:
    """The hook reminds; `verify` in CI, which believes no ledger, is the wall."""
    hostile.spoil(finished_shop / LEDGER, "every name of the schema")
    said = ends_well(finished_shop, "hook claude stop", RUN)
    assert said.splitlines()[0].endswith("; nothing is held up")
    assert "damaged" in said


@pytest.mark.real
def test_the_pages_do_not_begin_with_it(finished_shop: Path) -> None:
    hostile.spoil(finished_shop / LEDGER, "one statement")
    assert "damaged" in ends_well(finished_shop, "ledger serve --port 0", RUN)


@pytest.mark.real
@pytest.mark.parametrize("kind", hostile.SPOILED)
def test_no_bytes_in_a_ledger_stop_a_command(kind: str, finished_shop: Path) -> None:
    run = run_of(finished_shop)
    kept = shutil.copy(finished_shop / LEDGER, finished_shop.parent / f"{finished_shop.name}.kept")
    for line in (*QUICK, "ledger verify", "ledger stats", f"ledger show {RUN}"):
        shutil.copy(kept, finished_shop / LEDGER)
        hostile.spoil(finished_shop / LEDGER, kind)
        ends_well(finished_shop, line, run)


@pytest.mark.hostile
@pytest.mark.parametrize("kind", hostile.SPOILED)
@pytest.mark.parametrize("line", sorted({*READING, *WRITING}))
def test_no_command_at_all_is_stopped(line: str, kind: str, finished_shop: Path) -> None:
    run = run_of(finished_shop)
    hostile.spoil(finished_shop / LEDGER, kind)
    ends_well(finished_shop, line, run)


@pytest.mark.hostile
@pytest.mark.parametrize("kind", hostile.SPOILED)
def test_nor_one_that_is_given_such_a_ledger(kind: str, finished_shop: Path) -> None:
    run = run_of(finished_shop)
    given = finished_shop.parent / f"{finished_shop.name}.db"
    for line in (line for line in READING if line.startswith(("ledger", "status", "why", "next"))):
        shutil.copy(finished_shop / LEDGER, given)
        hostile.spoil(given, kind)
        ends_well(finished_shop, line, run, "--ledger", str(given))
