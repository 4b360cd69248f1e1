"""SQLite refuses one of two writers: whose fault that is goes by the application's own database."""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest
from histories import ACKED, DONE, against, history, spec

from skillrun.proof.database_servers import find_server
from skillrun.proof.history import History
from skillrun.proof.judgement import Judgement
from skillrun.proof.judges.registry import judge_history

LOCKED = (
    "raised",
    {
        "error": "sqlite3:OperationalError",
        "bases": [],
        "text": "database is locked",
        "injected": False,
        "control": False,
    },
)
OTHER = (LOCKED[0], {**LOCKED[1], "text": "no such row"})


def at_once(second: tuple[str, dict[str, object]]) -> History:
    """Two deliveries of which the second fails by itself."""
    return history("copies=2 switch@before:email#1", [second, ACKED], DONE, state=[])


def judge(seen: History, server: str) -> list[tuple[str, str]]:
    found: tuple[Judgement, ...] = judge_history(seen, against(spec(), server=server))
    return [(judgement.verdict, judgement.rule) for judgement in found]


def test_what_sqlite_alone_refuses_was_not_tried_where_the_application_has_a_server() -> None:
    found = judge(at_once(LOCKED), "PostgreSQL")
    assert found == [("incomplete", "store.one-writer")]


@pytest.mark.parametrize(("second", "server"), [(LOCKED, ""), (OTHER, "PostgreSQL")])
def test_sqlites_own_application_and_other_errors_are_judged(
    second: tuple[str, dict[str, object]], server: str
) -> None:
    assert ("refuted", "state.differs") in judge(at_once(second), server)


@pytest.mark.parametrize(
    ("path", "text", "server"),
    [
        ("requirements.txt", "django\npsycopg2-binary==2.9\n", "PostgreSQL"),
        ("demo/requirements/base.txt", "PyMySQL\n", "MySQL"),
        ("pyproject.toml", '[project]\ndependencies = ["asyncpg>=0.29"]\n', "PostgreSQL"),
        ("requirements.txt", "django\n", ""),
        ("notes.md", "psycopg\n", ""),
    ],
)
def test_a_server_is_known_by_its_driver(path: str, text: str, server: str, tmp_path: Path) -> None:
    root = helpers.build_tree(tmp_path / "shop", {path: text})
    assert find_server(root) == server
