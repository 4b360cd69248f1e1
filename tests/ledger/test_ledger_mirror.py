"""A ledger in PostgreSQL is read through a copy: the same rows, the same answers, and tampering
there is found.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import helpers
import psycopg
import pytest
from rows import real_but
from test_ledger_ship import fill, here, more

from skillrun.core.errors import Blocked
from skillrun.ledger.query import named_queries, run_query
from skillrun.ledger.shipping.mirror import refresh_mirror
from skillrun.ledger.shipping.server import hide_secrets
from skillrun.ledger.shipping.ship import ship_ledger
from skillrun.ledger.store import Ledger
from skillrun.ledger.verify import verify_ledger


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.real
def test_the_copy_has_every_row_and_comes_up_to_date(url: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    runs = fill(path)
    ship_ledger(path, url)
    assert here(refresh_mirror(url)) == here(path)
    with Ledger.open(path) as ledger:
        more(ledger, runs[1], 2, invocation=2)
    ship_ledger(path, url)
    assert here(refresh_mirror(url)) == here(path)


@pytest.mark.real
def test_every_named_query_answers_the_same(url: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    fill(path)
    ship_ledger(path, url)
    copy = refresh_mirror(url)
    for name in named_queries():
        one, other = run_query(path, name), run_query(copy, name)
        assert one.columns == other.columns
        assert sorted(one.rows, key=repr) == sorted(other.rows, key=repr), name


@pytest.mark.real
def test_what_is_whole_there_is_whole_here(url: str, tmp_path: Path) -> None:
    fill(tmp_path / "ledger.db")
    ship_ledger(tmp_path / "ledger.db", url)
    report = verify_ledger(refresh_mirror(url, tmp_path))
    assert (report.integrity, report.completeness) == ("whole", "complete")


CHANGES = {
    "edited": "UPDATE event SET outcome = 'passed' WHERE n = 3",
    "no JSON": "UPDATE event SET data = 'x' WHERE n = 3",
    "cut out": "DELETE FROM event WHERE n = 6",
    "evidence": "UPDATE evidence SET sha = repeat('0', 64) WHERE n = 4",
    "telemetry": "UPDATE telemetry SET outcome = 'success', grade_min = 'proved'",
    "a run's row": "UPDATE run SET actor = 'grace'",
}


@pytest.mark.real
@pytest.mark.parametrize("change", real_but(CHANGES, "a run's row"))
def test_what_was_changed_there_is_found(url: str, tmp_path: Path, change: str) -> None:
    fill(tmp_path / "ledger.db", runs=1)
    ship_ledger(tmp_path / "ledger.db", url)
    with psycopg.connect(url, autocommit=True, options="-c search_path=skillrun") as admin:
        for table in ("run", "event", "evidence", "telemetry"):
            admin.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        admin.execute("ALTER TABLE evidence DROP CONSTRAINT evidence_run_id_n_fkey")
        assert admin.execute(CHANGES[change]).rowcount > 0
    assert verify_ledger(refresh_mirror(url, tmp_path / "copy")).integrity == "broken"


def test_a_database_without_a_ledger(url: str) -> None:
    with pytest.raises(Blocked, match="no ledger in this database"):
        refresh_mirror(url)


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Blocked) as blocked:
        refresh_mirror(f"postgresql://ada:secret@/x?host={tmp_path}")
    assert "secret" not in str(blocked.value)


def said(*args: str, ledger: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    cache = {"XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"]}
    return helpers.run_cli("ledger", *args, "--ledger", ledger, cwd=cwd, env=cache)


@pytest.mark.real
@pytest.mark.parametrize(
    "words",
    real_but(
        [["list"], ["stats"], ["query", "recent-runs"], ["show"], ["verify"], ["export"]],
        ["verify"],
    ),
)
def test_the_commands_read_it_like_a_file(url: str, tmp_path: Path, words: list[str]) -> None:
    runs = fill(tmp_path / "ledger.db", runs=2)
    ship_ledger(tmp_path / "ledger.db", url)
    more_words = {
        "show": [runs[0], "--json"],
        "list": ["--json"],
        "export": ["--format", "jsonl"],
    }.get(words[0], [])
    here_, there_ = (
        said(*words, *more_words, ledger=place, cwd=tmp_path)
        for place in (tmp_path / "ledger.db", url)
    )
    assert here_.returncode == there_.returncode == 0, there_.stderr
    assert without_places(there_.stdout) == without_places(here_.stdout)
    assert words != ["verify"] or there_.stdout.startswith(f"{hide_secrets(url)}: 2 runs")


def without_places(text: str) -> list[str]:
    """Without the rows' local numbers, and the lines that say where the ledger is."""
    return [
        line
        for line in text.splitlines()
        if '"seq"' not in line and "/" not in line.partition(" ")[0]
    ]


def test_a_command_that_writes_wants_a_file(url: str, tmp_path: Path) -> None:
    done = said("archive", "--before", "2020-01-01", "--to", "old.db", ledger=url, cwd=tmp_path)
    assert done.returncode == 4
    assert "is a file, and no database's address" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == []


@pytest.mark.real
def test_it_is_called_by_its_address_without_the_password(url: str, tmp_path: Path) -> None:
    run_id, *_ = fill(tmp_path / "ledger.db")
    ship_ledger(tmp_path / "ledger.db", url)
    secret = url.replace("@/", ":geheim@/")
    page = tmp_path / "page.html"
    asked: list[list[str]] = [
        ["stats"],
        ["stats", "--json"],
        ["show", "zzz"],
        ["show", run_id, "--html", str(page)],
    ]
    for words in [*asked, ["export", "--format", "csv", "--run", "zzz", "-o", "x"]]:
        done = said(*words, ledger=secret, cwd=tmp_path)
        text = done.stdout + done.stderr + (page.read_text("utf-8") if page.exists() else "")
        assert url in text, words
        assert "geheim" not in text and str(tmp_path / "cache") not in text, words


@pytest.mark.real
def test_status_says_that_it_wants_a_file(
    url: str,
    tmp_path: Path,
) -> None:
    repo = helpers.build_tree(tmp_path / "repo", {"a.py": ""})
    done = helpers.run_cli("status", cwd=repo, env={"SKILLRUN_LEDGER": url})
    assert (done.returncode, "is a file, and no database's address" in done.stderr) == (4, True)
