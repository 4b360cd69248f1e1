"""Which command of the repository makes the base's store HEAD's, as a deploy would.

No list of commands is trusted: one counts that lays out HEAD's tables in an empty store, and that
leaves a store alone which has them already, with whatever the job has done in it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from skillrun.proof.explorer import Explorer
from skillrun.proof.rivals import read_contents
from skillrun.proof.rows import open_rows
from skillrun.proof.schedule import ONCE
from skillrun.proof.services.errors import ServiceFailed
from skillrun.proof.state import SqliteStore
from skillrun.proof.workplace import Workplace

Layout = Mapping[str, frozenset[str]]
"""Table -> its columns."""

_OF_SHELL = re.compile(r"[;&|<>$`\n]")
_MIGRATES = re.compile(r"migrat|upgrade|alembic|schema", re.IGNORECASE)
_EMPTY_POSTGRESQL = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"


@dataclass(frozen=True)
class Migration:
    """`command` None: none is known that can be run again, and `why` says it."""

    command: str | None
    why: str = ""


def choose_migration(own: Explorer, old: Explorer) -> Migration:
    """`own`: HEAD's, in a place of its own; `old`: the base's. Both are put back."""
    if own.store is None:
        return Migration(None, "proof.database names no database")
    of_base = set(list_commands(old.workplace))
    refused = []
    for command in list_commands(own.workplace):
        why = _why_unfit(own, command)
        if why is None and command in of_base:
            why = _why_not_again(old, command)
        own.workplace.restore()
        old.workplace.restore()
        if why is None:
            return Migration(command)
        refused.append(f"{command}: {why}")
    return Migration(None, "; ".join(refused) or "the spec has no proof.setup")


def list_commands(workplace: Workplace) -> list[str]:
    """What may migrate the store of a repository, the likeliest first."""
    found = []
    if (workplace.root / "manage.py").is_file():
        found.append("python manage.py migrate --noinput")
    if (workplace.root / "alembic.ini").is_file():
        found.append("python -m alembic upgrade head")
    setup = workplace.proof.setup
    layouts = []
    if setup is not None:
        layouts = [setup, *_strip_options(setup)]
    own = list(_list_own(workplace))
    found += own
    for layout in reversed(layouts):
        # One that only alters what is there comes behind what makes the tables.
        found += [f"{layout} && {command}" for command in own if command not in layouts]
    return list(dict.fromkeys([*found, *layouts]))


def _list_own(workplace: Workplace) -> Iterator[str]:
    """Migrations of the repository's own that its deployment names, such as a release step."""
    for words in workplace.starts:
        command = " ".join(words)
        if _MIGRATES.search(command) and not _OF_SHELL.search(command):
            yield command


def _strip_options(command: str) -> Iterator[str]:
    """`python -m shop.db --demo` -> `python -m shop.db`: without the rows of an example."""
    words = command.split()
    while words and words[-1].startswith("--"):
        words.pop()
    stripped = " ".join(words)
    if stripped != command and not _OF_SHELL.search(command):
        yield stripped


def _why_unfit(own: Explorer, command: str) -> str | None:
    """Why a command does not make HEAD's tables, or cannot be run again; None where it can."""
    own.workplace.restore()
    wanted = read_layout(own.store)
    empty_store(own)
    if not own.workplace.run_line(command).ok:
        return "fails over an empty database"
    if find_missing(wanted, read_layout(own.store)):
        return "does not make all of HEAD's tables"
    return _why_not_again(own, command)


def _why_not_again(side: Explorer, command: str) -> str | None:
    """Run over what a single run has left."""
    side.run(ONCE)
    before = read_contents(side.store)
    done = side.workplace.run_line(command)
    if not done.ok:
        return "fails where it was run before"
    if read_contents(side.store) != before:
        return "changes rows where it was run before"
    return None


def empty_store(side: Explorer) -> None:
    """As before anything was laid out."""
    store: Any = side.store
    if isinstance(store, SqliteStore):
        for path in store.path.parent.glob(f"{store.path.name}*"):
            path.unlink()
        return
    with contextlib.suppress(ServiceFailed):
        store.query(_EMPTY_POSTGRESQL)


def read_layout(store: Any) -> Layout:
    """Empty without a database."""
    with open_rows(store) as rows:
        if rows is None:
            return {}
        return {table.name: frozenset(table.columns) for table in rows.tables()}


def find_missing(wanted: Layout, seen: Layout) -> list[str]:
    """The tables, and the columns as "table.column", that are not there."""
    found = []
    for table, columns in sorted(wanted.items()):
        if table not in seen:
            found.append(table)
            continue
        found += [f"{table}.{column}" for column in sorted(columns - seen[table])]
    return found
