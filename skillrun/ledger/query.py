"""Asks a ledger in SQL, by a named query or in one's own words, without any way to change it."""

from __future__ import annotations

import contextlib
import math
import re
import shlex
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skillrun.core.errors import Misuse
from skillrun.core.resources import resource
from skillrun.ledger.connection import (
    BUSY_MS,
    explained,
    is_of_the_file,
    open_reader,
    quote_undecodable,
)
from skillrun.ledger.migrate import add_missing_views

TIME_LIMIT_S = 10.0
# Those are known to end; over a million events some take ten seconds on a busy machine.
NAMED_TIME_LIMIT_S = 120.0
MAX_ROWS = 1000
# Bytes of one value: `zeroblob(1e9)` is refused.
_MAX_VALUE = 10_000_000
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_READS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE)
_OF_THE_FILE = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_IOERR,
)
# The pragmas that only describe tables.
_LOOKS = ("table_info", "table_xinfo", "table_list", "index_list", "index_info", "foreign_key_list")


@dataclass(frozen=True)
class Param:
    """A parameter of a named query, written `:name` in its SQL."""

    name: str
    default: str
    description: str


@dataclass(frozen=True)
class NamedQuery:
    """A file of `ledger/queries`: its sentence, its parameters, its SQL."""

    name: str
    sentence: str
    params: tuple[Param, ...]
    sql: str


@dataclass(frozen=True)
class QueryResult:
    """Rows of JSON values; `truncated` where there were more than the limit."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool


def named_queries() -> dict[str, NamedQuery]:
    """The queries that ship with skillrun, by name."""
    files = sorted(resource("ledger", "queries").glob("*.sql"))
    return {file.stem: _read_query(file) for file in files}


def run_query(
    path: Path,
    name_or_sql: str,
    params: Mapping[str, str] | None = None,
    limit: int = MAX_ROWS,
    *,
    time_limit_s: float | None = None,
    busy_ms: int = BUSY_MS,
) -> QueryResult:
    """Runs a named query or one SELECT, and returns at most `limit` rows.

    Raises Misuse, in SQLite's words, for anything but one reading statement, for unknown names and
    parameters, and for a query that takes too long (`time_limit_s`: other than ours);
    LedgerUnusable where there is no ledger to read.
    """
    sql, values = _prepare_query(name_or_sql.strip(), dict(params or {}))
    named = _NAME.fullmatch(name_or_sql.strip()) is not None
    narrower = "WHERE"
    if named:
        narrower = "a parameter"
    if not time_limit_s:
        if named:
            time_limit_s = NAMED_TIME_LIMIT_S
        else:
            time_limit_s = TIME_LIMIT_S
    # SQLite's limit holds for parameters too; a character is at most four bytes.
    max_value = _MAX_VALUE + sum(4 * len(value) for value in values.values())
    if limit < 0:
        raise Misuse(f"limit: {limit} is less than 0")
    with contextlib.closing(open_reader(path, busy_ms)) as db:
        with explained(path, busy_ms):
            add_missing_views(db, path)
        _restrict_connection(db, time_limit_s, max_value)
        with explained(path, busy_ms), _in_words(path, busy_ms, time_limit_s, narrower):
            cursor = db.execute(sql, values)
            if cursor.description is None:
                raise Misuse(
                    "no query: the text holds no statement",
                    hint="give one SELECT, or the name of a query",
                )
            # One more than is returned, to know whether there are more.
            rows = cursor.fetchmany(limit + 1)
            columns = tuple(column[0] for column in cursor.description)
    plain = tuple(tuple(map(_make_plain, row)) for row in rows[:limit])
    return QueryResult(columns, plain, truncated=len(rows) > limit)


def _prepare_query(name_or_sql: str, params: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The SQL and every parameter's value."""
    if not _NAME.fullmatch(name_or_sql):
        return name_or_sql, params
    file = resource("ledger", "queries", f"{name_or_sql}.sql")
    if not file.is_file():
        raise Misuse(
            f"no query {name_or_sql!r}", hint=f"named queries: {', '.join(named_queries())}"
        )
    query = _read_query(file)
    known = {param.name: param.default for param in query.params}
    if unknown := params.keys() - known.keys():
        names = ", ".join(known) or "none"
        raise Misuse(
            f"{query.name} has no parameter {', '.join(sorted(unknown))}",
            hint=f"its parameters: {names}",
        )
    # SQLite would compare a word with a number without an error, and the answer would be wrong.
    for name, value in params.items():
        if _is_number(known[name]) and not _is_number(value):
            raise Misuse(
                f"{name}: {value!r} is no number", hint=f"for example --param {name}={known[name]}"
            )
    return query.sql, {**known, **params}


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) is not None


def _read_query(file: Path) -> NamedQuery:
    """A query file opens with `-- sentence`, then one line `-- param: name default description` for
    each parameter.
    """
    text = file.read_text("utf-8")
    sentence, params = [], []
    for line in text.splitlines():
        if not line.startswith("--"):
            continue
        comment = line[2:].strip()
        if comment.startswith("param:"):
            name, default, *words = shlex.split(comment.removeprefix("param:"))
            params.append(Param(name, default, " ".join(words)))
        else:
            sentence.append(comment)
    return NamedQuery(file.stem, " ".join(sentence), tuple(params), text)


def _restrict_connection(db: sqlite3.Connection, time_limit_s: float, max_value: int) -> None:
    """Reading only: mode=ro protects this file, the authorizer all others, the limits this
    machine.
    """
    deadline = time.monotonic() + time_limit_s
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max_value)
    db.text_factory = lambda raw: raw.decode("utf-8", "replace")
    # Asked every 10,000 steps of SQLite's virtual machine: rarely enough to cost nothing.
    db.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
    db.set_authorizer(_make_authorizer())


def _make_authorizer() -> Callable[[int, str | None, str | None, str | None, str | None], int]:
    def allow_reading(
        action: int, first: str | None, second: str | None, database: str | None, source: str | None
    ) -> int:
        allowed = (
            action in _READS
            or (action == sqlite3.SQLITE_FUNCTION and second != "load_extension")
            or (action == sqlite3.SQLITE_PRAGMA and first in _LOOKS)
        )
        if allowed:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    return allow_reading


@contextlib.contextmanager
def _in_words(path: Path, busy_ms: int, time_limit_s: float, narrower: str) -> Iterator[None]:
    """Turns SQLite's refusal of a statement into Misuse; a locked or damaged file is not the
    query's fault.
    """
    try:
        yield
    except UnicodeDecodeError as error:  # a ValueError, with SQLite's words in it
        if is_of_the_file(path, error, busy_ms):
            raise
        raise Misuse(f"the query was refused: {quote_undecodable(error)}") from error
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _OF_THE_FILE:
            raise
        if code == sqlite3.SQLITE_INTERRUPT:
            raise Misuse(
                f"the query took longer than {time_limit_s:g} s", hint=f"narrow it with {narrower}"
            ) from error
        hint = None
        if code == sqlite3.SQLITE_AUTH:
            hint = "a query only reads: one SELECT statement"
        raise Misuse(f"the query was refused: {error}", hint=hint) from error


def _make_plain(value: Any) -> Any:
    """The value as JSON can hold it: blobs as hexadecimal, infinities as words."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
