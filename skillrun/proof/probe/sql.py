"""SQLite through `sqlite3`: a boundary before and after each statement and each commit.

Django, SQLAlchemy and aiosqlite come through here too: all of them call `sqlite3.connect`.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from .clock import Clock
from .recorder import Recorder, brief
from .swap import replace_everywhere

WRITES = ("insert", "update", "delete", "replace", "create", "drop", "alter")
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.S)
_TABLE = re.compile(
    r"\b(?:insert\s+(?:or\s+\w+\s+)?into|replace\s+into|update(?:\s+or\s+\w+)?|delete\s+from|from|"
    r"create\s+(?:temp\s+|temporary\s+|unique\s+)*(?:table|index|view|trigger)(?:\s+if\s+not\s+exists)?|"
    r"drop\s+table(?:\s+if\s+exists)?|alter\s+table)\s+(?:only\s+)?([\w.\"`\[\]]+)",
    re.I,
)


def parse(sql: str) -> tuple[str, str]:
    """(verb, table) of a statement, lower case; the table is "" where there is none.

    >>> parse('INSERT INTO "shop"."receipts" VALUES (1)')
    ('insert', 'receipts')
    """
    bare = _COMMENT.sub(" ", sql).strip()
    verb = re.match(r"\w+", bare)
    word = verb.group().lower() if verb else "?"
    if word == "with":
        inner = re.search(r"\)\s*(insert|update|delete|select|replace)\b", bare, re.I)
        word = inner.group(1).lower() if inner else "select"
        bare = bare[inner.start(1) :] if inner else bare
    table = _TABLE.search(bare)
    name = re.sub(r"[\"`\[\]]", "", table.group(1)).rpartition(".")[2].lower() if table else ""
    return ("insert" if word == "replace" else word), name


class Statements:
    """What every database driver's hook reports through."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    @contextlib.contextmanager
    def statement(self, sql: str, store: str, in_transaction: Callable[[], bool]) -> Iterator[None]:
        """Boundaries around one statement; COMMIT and ROLLBACK written as SQL count as such."""
        if not self.recorder.mine:
            yield
            return
        verb, table = parse(sql)
        if verb in ("commit", "end", "rollback"):
            with self.end("rollback" if verb == "rollback" else "commit", store):
                yield
            return
        if verb in ("begin", "start", "pragma", "savepoint", "release", "set", "show", "explain"):
            with self.recorder.quiet():
                yield
            return
        name = self.recorder.next_name(f"{verb}-{table}" if table else verb)
        fields = {"kind": "sql", "verb": verb, "table": table, "store": store, "place": self.recorder.place()}
        self.recorder.boundary("before", name, sql=brief(" ".join(sql.split())), **fields)
        with self.recorder.quiet():
            yield
        fields["open"] = in_transaction()
        self.recorder.boundary("after", name, **fields)

    @contextlib.contextmanager
    def end(self, what: str, store: str) -> Iterator[None]:
        """Boundaries around a commit or a rollback of an open transaction."""
        if not self.recorder.mine:
            yield
            return
        name = self.recorder.next_name(what)
        fields = {"kind": what, "store": store, "place": self.recorder.place()}
        self.recorder.boundary("before", name, **fields)
        with self.recorder.quiet():
            yield
        self.recorder.boundary("after", name, **fields)


class SqliteHook:
    """Makes `sqlite3.connect` give connections that report."""

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self.statements, self.clock = Statements(recorder), clock
        self.recorder = recorder
        self.kinds: dict[type, type] = {}
        self.plain: sqlite3.Connection | None = None

    def install(self) -> None:
        """Once, in the zygote, before the repository is imported."""
        real = sqlite3.connect

        def connect(database: Any, *args: Any, **kwargs: Any) -> Any:
            if len(args) > 4:  # the factory is the sixth parameter
                args = (*args[:4], self.kind(args[4]), *args[5:])
            else:
                kwargs["factory"] = self.kind(kwargs.get("factory") or sqlite3.Connection)
            made = real(database, *args, **kwargs)
            made._skillrun_store = _store(database)
            self.put_clock(made)
            return made

        replace_everywhere(sqlite3, "connect", connect)
        sqlite3.dbapi2.connect = connect  # type: ignore[attr-defined]

    def kind(self, base: type) -> type:
        """A subclass of a connection class that reports; made once."""
        if base not in self.kinds:
            self.kinds[base] = _connection_class(base, self)
        return self.kinds[base]

    def cursor_kind(self, base: type) -> type:
        """A subclass of a cursor class that reports; made once."""
        if base not in self.kinds:
            self.kinds[base] = _cursor_class(base, self.statements)
        return self.kinds[base]

    def put_clock(self, connection: sqlite3.Connection) -> None:
        """SQLite's `CURRENT_TIMESTAMP`, `datetime('now')` and the like follow the virtual clock."""
        for name, form in _CURRENT.items():
            connection.create_function(name, 0, lambda form=form: self.utc().strftime(form))
        for name in ("datetime", "date", "time", "julianday", "unixepoch"):
            connection.create_function(name, -1, self.function(name, 0))
        connection.create_function("strftime", -1, self.function("strftime", 1))

    def utc(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self.clock.time(), datetime.timezone.utc)

    def function(self, name: str, at: int) -> Callable[..., Any]:
        """SQLite's own function with the virtual time in place of 'now'."""

        def call(*args: Any) -> Any:
            given = list(args)
            if len(given) == at:
                given.append("now")
            if len(given) > at and isinstance(given[at], str) and given[at].lower() == "now":
                given[at] = self.utc().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
            marks = ", ".join("?" * len(given))
            return self.helper().execute(f"select {name}({marks})", given).fetchone()[0]

        return call

    def helper(self) -> sqlite3.Connection:
        if self.plain is None:
            self.plain = sqlite3.Connection(":memory:", check_same_thread=False)
        return self.plain


_CURRENT = {"current_timestamp": "%Y-%m-%d %H:%M:%S", "current_date": "%Y-%m-%d", "current_time": "%H:%M:%S"}


def _store(database: Any) -> str:
    """Which database: an absolute path, or ":memory:"."""
    name = os.fsdecode(database) if isinstance(database, (str, bytes, os.PathLike)) else repr(database)
    if name.startswith("file:"):
        name = name[5:].partition("?")[0]
    return name if name == ":memory:" or not name else "sqlite:" + os.path.realpath(name)


def _connection_class(base: Any, hook: SqliteHook) -> type:
    statements = hook.statements

    class Connection(base):  # type: ignore[misc]
        _skillrun_store = ""

        def _open(self) -> bool:
            return bool(self.in_transaction)

        def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
            return super().cursor(hook.cursor_kind(factory))

        def execute(self, sql: str, *args: Any) -> Any:
            return self.cursor().execute(sql, *args)

        def executemany(self, sql: str, *args: Any) -> Any:
            return self.cursor().executemany(sql, *args)

        def executescript(self, sql: str) -> Any:
            return self.cursor().executescript(sql)

        def commit(self) -> None:
            if not self.in_transaction:
                return super().commit()  # type: ignore[no-any-return]
            with statements.end("commit", self._skillrun_store):
                return super().commit()  # type: ignore[no-any-return]

        def rollback(self) -> None:
            if not self.in_transaction:
                return super().rollback()  # type: ignore[no-any-return]
            with statements.end("rollback", self._skillrun_store):
                return super().rollback()  # type: ignore[no-any-return]

        def __exit__(self, kind: Any, value: Any, trace: Any) -> Any:
            if kind is None and self.in_transaction:
                try:
                    self.commit()
                except BaseException:
                    self.rollback()
                    raise
            elif kind is not None and self.in_transaction:
                self.rollback()
            return False

    Connection.__name__ = base.__name__
    Connection.__qualname__ = base.__qualname__
    return Connection


def _cursor_class(base: Any, statements: Statements) -> type:
    class Cursor(base):  # type: ignore[misc]
        def _run(self, sql: str, run: Callable[[], Any]) -> Any:
            connection = self.connection
            # executing a write opens the transaction of the legacy mode: nothing is durable before the commit
            with statements.statement(sql, connection._skillrun_store, connection._open):
                return run()

        def execute(self, sql: str, *args: Any) -> Any:
            return self._run(sql, lambda: base.execute(self, sql, *args))

        def executemany(self, sql: str, *args: Any) -> Any:
            return self._run(sql, lambda: base.executemany(self, sql, *args))

        def executescript(self, sql: str) -> Any:
            return self._run(sql, lambda: base.executescript(self, sql))

    Cursor.__name__ = base.__name__
    Cursor.__qualname__ = base.__qualname__
    return Cursor
