"""Any value of any row may have been edited: no command answers with a traceback, and verify finds
it.

The edits are drawn by a seed; `SEEDS` of them in a ledger each, and every command of `COMMANDS` on
it.
"""

from __future__ import annotations

import json
import random
import sqlite3
from pathlib import Path
from typing import Any

import exported
import helpers
import ledgers
import pytest

SEEDS = 60
TABLES = ("run", "event", "evidence", "telemetry")
NONSENSE = (None, 0, -1, 2**62, 0.5, "", "x", "<b>\u202e", [], [[]], {}, {"a": []}, True)
COMMANDS = (
    *("list", "list --format json", "show RUN", "show RUN --json", "show RUN --html page.html"),
    *(
        "stats",
        "stats --days 9000 --format json",
        "anchor --to heads",
        "archive --before 2001-01-01 --to old.db",
    ),
    *("export --format jsonl", "export --format otlp", "export --format intoto"),
    *("export --format csv --table event", "export --format csv --table telemetry"),
    *(
        f"query {name}"
        for name in (
            "timeline",
            "weak-successes",
            "flaky-validations",
            "waivers",
            "stale-successes",
        )
    ),
    *("query last-week", "query time-to-success", "query blocking-stages"),
)


def edit(db: sqlite3.Connection, draw: random.Random) -> str | None:
    """Writes nonsense over one value; what was done, or None where the table takes it for none of
    its values.
    """
    table = draw.choice(TABLES)
    columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    rows = db.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()
    row, place = draw.choice(rows), draw.randrange(len(columns))
    new = nonsense(row[place], draw)
    if new == row[place] and type(new) is type(row[place]):
        return None
    where = " AND ".join(f"{name} IS ?" for name in columns)
    try:
        db.execute(f"UPDATE {table} SET {columns[place]} = ? WHERE {where}", (new, *row))
    except sqlite3.IntegrityError:
        return None
    return f"{table}.{columns[place]}: {row[place]!r:.80} -> {new!r:.200}"


def nonsense(value: Any, draw: random.Random) -> Any:
    """Another value; of JSON, the same with nonsense somewhere inside."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        return json.dumps(inside(json.loads(value), draw))
    drawn = draw.choice(NONSENSE)
    return json.dumps(drawn) if isinstance(drawn, (list, dict)) else drawn


def inside(value: Any, draw: random.Random) -> Any:
    """A JSON value with nonsense in the place of one of its parts."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(sorted(value))
        return {**value, key: inside(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.9:
        place = draw.randrange(len(value))
        return [*value[:place], inside(value[place], draw), *value[place + 1 :]]
    return draw.choice([one for one in NONSENSE if one != value])


@pytest.mark.long
@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_command_answers_in_words_and_verify_finds_it(seed: int, tmp_path: Path) -> None:
    folder, draw, done = tmp_path / "place", random.Random(seed), None
    folder.mkdir()
    (run_id,) = exported.filled(folder / "ledger.db")
    with ledgers.triggers_away(folder / "ledger.db") as db:
        while done is None:
            done = edit(db, draw)
    said = []
    for command in COMMANDS:
        args = command.replace("RUN", run_id).split()
        ended = helpers.run_cli("ledger", *args, "--ledger", "ledger.db", cwd=folder)
        if (
            ended.returncode not in (0, 2, 3, 4)
            or "Traceback" in ended.stderr
            or "bug in skillrun" in ended.stderr
        ):
            said.append(f"{command}: {ended.returncode} {ended.stderr[-1500:]}")
    assert not said, f"{done}\n" + "\n".join(said)
    verified = helpers.run_cli("ledger", "verify", "--ledger", "ledger.db", cwd=folder)
    assert verified.returncode != 0, f"{done}\n{verified.stdout}"
