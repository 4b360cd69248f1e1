"""The data dictionary names every table, column, event type and query, and nothing that is not
there.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from ledgers import fill_run, plain

from skillrun.core.resources import resource
from skillrun.ledger.query import named_queries
from skillrun.ledger.store import EvidenceRow, Ledger, NewEvent

CANONICAL: dict[str, Any] = {"sort_keys": True, "separators": (",", ":"), "ensure_ascii": False}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("docs") / "ledger.db"
    with Ledger.open(path) as ledger:
        run_id = fill_run(ledger)
        detail = {"tail": "a long line of output " * 9, "exit_code": 1}
        event = NewEvent(
            "x", data={"result": {"message": "é" * 65, "list": [["z" * 65], 1.5, None, True]}}
        )
        ledger.append(
            run_id, [event], evidence=[EvidenceRow("command", "make", "c" * 64, 1, None, detail)]
        )
    return path


def readme() -> str:
    return resource("ledger", "README.md").read_text("utf-8")


def documented_names(section: str) -> list[str]:
    """The first cells of the table in a section."""
    return re.findall(r"^\| `([a-z_-]+)` \|", section, re.MULTILINE)


def test_every_table_and_column_is_documented(path: Path) -> None:
    sections = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##)", readme(), re.MULTILINE | re.DOTALL))
    with plain(path) as db:
        tables = [
            name
            for (name,) in db.execute(
                "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')"
            )
        ]
        columns = {
            table: [row[1] for row in db.execute(f"PRAGMA table_info({table})")] for table in tables
        }
    assert {table: documented_names(text) for table, text in sections.items()} == columns


def test_every_named_query_is_documented_with_its_parameters() -> None:
    section = readme().split("## Named queries")[1]
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", section, re.MULTILINE))
    assert rows.keys() == named_queries().keys()
    for name, query in named_queries().items():
        assert re.findall(r"`(\w+)`", rows[name]) == [param.name for param in query.params]


def test_the_recipe_of_the_chain_is_all_one_needs(path: Path) -> None:
    """Recomputes hashes and seals by what the page says, with the standard library alone."""

    def canonical(row: dict[str, object]) -> bytes:
        known = {column: value for column, value in row.items() if value is not None}
        return json.dumps(known, **CANONICAL).encode()

    def digest(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    def shortened(value: object) -> object:
        if isinstance(value, str):
            return f"sha256:{digest(value)}" if len(value) > 64 else value
        if isinstance(value, list):
            return [shortened(member) for member in value]
        return (
            {key: shortened(member) for key, member in value.items()}
            if isinstance(value, dict)
            else value
        )

    def by_texts(row: dict[str, object], column: str) -> dict[str, object]:
        text = (
            json.dumps(shortened(json.loads(str(row[column]))), **CANONICAL)
            if row[column]
            else None
        )
        return {**row, column: text}

    texts = 0
    with plain(path) as db:
        db.row_factory = lambda cursor, row: {
            d[0]: v for d, v in zip(cursor.description, row, strict=True)
        }
        prev = "0" * 64
        for event in db.execute("SELECT * FROM event ORDER BY n"):
            row = {
                column: value
                for column, value in event.items()
                if column not in ("seq", "prev", "hash")
            }
            seal = json.loads(event["data"]).get("seal", {})
            if seal.get("texts"):
                row, texts = by_texts(row, "data"), texts + 1
            prev = hashlib.sha256(prev.encode() + canonical(row)).hexdigest()
            assert prev == event["hash"]
            rows = db.execute(
                "SELECT * FROM evidence WHERE n = ? ORDER BY i", [event["n"]]
            ).fetchall()
            sealed = [by_texts(row, "detail") if seal.get("texts") else row for row in rows]
            digests = [hashlib.sha256(canonical(row)).hexdigest() for row in sealed]
            assert seal.get("evidence", []) == digests
        (run,) = db.execute("SELECT * FROM run")
        assert texts == 1
        (first,) = db.execute("SELECT data FROM event WHERE n = 1")
    assert json.loads(first["data"])["seal"]["run"] == hashlib.sha256(canonical(run)).hexdigest()
