"""`skillrun demo` as a person meets it: three invocations, three outcomes, and a repository that is
kept.
"""

from __future__ import annotations

import io
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import helpers
import pytest

from skillrun.cli import demo
from skillrun.core.errors import Blocked
from skillrun.repo.git import open_repo
from skillrun.validations.consent import Consent


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """One demo for all tests of this module, with TMPDIR in a folder of its own."""
    place = tmp_path_factory.mktemp("demo")
    (place / "tmp").mkdir()
    (place / "cwd").mkdir()
    return helpers.run_cli(
        "demo", cwd=place / "cwd", env={"TMPDIR": str(place / "tmp")}, timeout=300, starts=True
    )


@pytest.mark.real
def test_it_succeeds_after_blocked_partial_and_success(
    finished: subprocess.CompletedProcess[str],
) -> None:
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stderr == ""
    outcomes = re.findall(r"Exit code (\d): (\w+), as it should be", finished.stdout)
    assert outcomes == [("3", "blocked"), ("1", "partial"), ("0", "success")]


@pytest.mark.real
def test_it_asks_the_question_and_names_file_and_line(
    finished: subprocess.CompletedProcess[str],
) -> None:
    first, second, third = re.split(r"^\d/3 .*$", finished.stdout, flags=re.MULTILINE)[1:]
    assert "Which payload fields" in first
    line = (repo_of(finished) / "shop" / "tasks.py").read_text().splitlines().index(
        WRONG_LINE_NOW
    ) + 1
    assert re.search(rf"shop/tasks\.py:({line - 1}|{line})\b", second)
    assert "+  key: [order_id]" in second
    assert "-    autoretry_for=(Exception,)," in third


@pytest.mark.real
def test_it_ends_with_the_ledgers_rows_and_what_to_try_next(
    finished: subprocess.CompletedProcess[str],
) -> None:
    repo = repo_of(finished)
    query = "select invocation, outcome from telemetry order by invocation"
    with closing(sqlite3.connect(repo / ".skillrun" / "ledger.db")) as connection:
        assert connection.execute(query).fetchall() == [
            (1, "blocked"),
            (2, "partial"),
            (3, "success"),
        ]
    end = finished.stdout.partition("What the ledger remembers")[2]
    assert re.findall(r"^\d .*\b(blocked|partial|success)\b", end, re.MULTILINE) == [
        "blocked",
        "partial",
        "success",
    ]
    for command in re.findall(r"^  (\S*skillrun .*)$", end, re.MULTILINE):
        done = helpers.run_cli(*command.split()[1:], cwd=repo)
        assert done.returncode == 0, command + done.stdout + done.stderr


@pytest.mark.real
def test_it_writes_only_into_its_folder(finished: subprocess.CompletedProcess[str]) -> None:
    folder = repo_of(finished).parent
    place = folder.parent.parent
    assert list((place / "cwd").iterdir()) == []
    assert list((place / "tmp").iterdir()) == [folder]
    assert [path for path in (place / "cwd.home").rglob("*") if path.is_file()] == []


@pytest.mark.real
def test_it_keeps_a_repository_with_its_own_identity(
    finished: subprocess.CompletedProcess[str],
) -> None:
    repo = repo_of(finished)
    assert helpers.git(repo, "log", "--format=%an %G?") == "skillrun demo N"
    changed = helpers.git(repo, "diff", "--name-only").splitlines()
    assert changed == [".skillrun/jobs/send-receipt.yaml", "shop/tasks.py"]


def test_without_the_shops_tools_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Blocked, match="make") as caught:
        demo.run_demo(io.StringIO())
    assert caught.value.hint == "install make"


WRONG_LINE_NOW = "    autoretry_for=(mailer.Unavailable, TimeoutError),"


def repo_of(finished: subprocess.CompletedProcess[str]) -> Path:
    found = re.search(r"^The repository is kept: (.+)$", finished.stdout, re.MULTILINE)
    assert found, finished.stdout + finished.stderr
    return Path(found[1])


def test_its_own_shop_may_run_whoever_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDECODE", "1")
    demo._prepare(tmp_path / "shop", demo.STEPS[0])
    demo._allow_own_copy(tmp_path / "shop", tmp_path / "state")
    assert Consent(open_repo(tmp_path / "shop"), store=tmp_path / "state" / "consent").covers_head()
