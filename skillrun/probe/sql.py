"""SQLite through `sqlite3`: a boundary before and after each statement and each commit, and the
virtual clock.

Django, SQLAlchemy and aiosqlite come through here too: all of them call `sqlite3.connect`.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import itertools
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any

from .aside import Aside
from .clock import Clock
from .imports import when_imported
from .recorder import Recorder
from .sql_files import OtherFiles
from .statements import Statements
from .swap import replace_everywhere, swap_code

_real_monotonic = time.monotonic
_RETURNING = re.compile(r"\breturning\b", re.IGNORECASE)
_LATE_S = 1.0  # who waits for less than that has asked for it: `timeout=0.1`


class SqliteHook:
    """Makes `sqlite3.connect` give connections that report."""

    def __init__(self, recorder: Recorder, clock: Clock, aside: Aside) -> None:
        self.recorder, self.clock, self.aside = recorder, clock, aside
        self.statements = Statements(
            recorder, _is_open, lambda connection: connection._skillrun_store
        )
        self.statements.failure = lambda: sqlite3.OperationalError("database is locked")
        self.others = OtherFiles(recorder, aside.scratch)
        self.kinds: dict[type, type] = {}
        self.plain: sqlite3.Connection | None = None

    def install(self) -> None:
        """Once, in the zygote, before the repository is imported."""
        real = sqlite3.connect

        def connect(database: Any, *args: Any, **kwargs: Any) -> Any:
            database = self.find_stand_in(database)
            if len(args) > 4:  # the factory is the sixth parameter
                args = (*args[:4], self.connection_kind(args[4]), *args[5:])
            else:
                kwargs["factory"] = self.connection_kind(
                    kwargs.get("factory") or sqlite3.Connection
                )
            made = real(database, *args, **kwargs)
            made._skillrun_store = _name_store(database)
            self.put_clock(made)
            return self.statements.add_connection(made)

        replace_everywhere(sqlite3, "connect", connect)
        when_imported("aiosqlite.core", self.lend_place)
        self.warm_up()

    def find_stand_in(self, database: Any) -> Any:
        """What is opened for a database; a stand-in is told."""
        name = self.aside.name_stand_in(database)
        if name is None:
            return database
        self.recorder.emit("note", what="database-aside", name=name)
        with self.recorder.quiet():
            return self.aside.make_stand_in(database)

    def warm_up(self) -> None:
        """Classes, caches and SQLite's own memory are made once, before the forks."""
        connection = sqlite3.connect(":memory:")
        with connection:
            connection.execute("create table t (at text default current_timestamp)")
            connection.execute("insert into t (at) values (datetime('now'))")
        connection.close()

    def lend_place(self, module: Any) -> None:
        """aiosqlite works in a thread of its own, which knows nothing of the line that waits for
        it: whose doing that is, and where it stands.
        """

        async def execute(
            connection: Any, function: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            place = None
            if self.recorder.is_listening:
                place = self.recorder.find_place()

            def work(*given: Any, **named: Any) -> Any:
                self.recorder.lent.place = place
                return function(*given, **named)

            return await before(connection, work, *args, **kwargs)

        before = swap_code(module.Connection._execute, execute)

    def connection_kind(self, base: Any) -> Any:
        """A subclass of a connection class that reports; made once. A factory that is no class is
        left, and said.
        """
        if not isinstance(base, type):
            self._tell_factory()
            return base
        if base not in self.kinds:
            self.kinds[base] = _connection_class(base, self)
        return self.kinds[base]

    def cursor_kind(self, base: Any) -> Any:
        """A subclass of a cursor class that reports; made once."""
        if not isinstance(base, type):
            self._tell_factory()
            return base
        if base not in self.kinds:
            self.kinds[base] = _cursor_class(base, self)
        return self.kinds[base]

    def _tell_factory(self) -> None:
        if self.recorder.is_own_doing:
            self.recorder.emit(
                "undeclared",
                kind="store",
                detail="sqlite3 with a factory that is no class",
                place=self.recorder.find_place(),
            )

    def put_clock(self, connection: sqlite3.Connection) -> None:
        """SQLite's `CURRENT_TIMESTAMP`, `datetime('now')` and the like follow the virtual clock.

        They are declared deterministic, as SQLite's own are: indexes and generated columns may use
        them.
        """
        for name, form in _CURRENT.items():
            connection.create_function(
                name, 0, lambda form=form: self.now_in_utc().strftime(form), deterministic=True
            )
        for name, function in self.date_functions.items():
            connection.create_function(name, -1, function, deterministic=True)

    @functools.cached_property
    def date_functions(self) -> dict[str, Callable[..., Any]]:
        """By name, those that this SQLite has: it is asked once."""
        found = {}
        for name, first in _DATES.items():
            if self.has_function(name):
                found[name] = self.make_date_function(name, first)
        return found

    def now_in_utc(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self.clock.time(), datetime.timezone.utc)

    def make_date_function(self, name: str, first: int) -> Callable[..., Any]:
        """SQLite's own function with the virtual time in place of 'now'. `first`: where its time
        value is.
        """

        def call(*args: Any) -> Any:
            given = list(args)
            if len(given) == first or (
                len(given) > first and given[first] in ("subsec", "subsecond")
            ):
                given.insert(first, "now")
            now = self.now_in_utc().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
            for place, value in enumerate(given):
                if isinstance(value, str) and value.lower() == "now":
                    given[place] = now
            marks = ", ".join("?" * len(given))
            return self.plain_connection().execute(f"select {name}({marks})", given).fetchone()[0]

        return call

    def has_function(self, name: str) -> bool:
        """Whether this SQLite has a function; older ones lack some."""
        try:
            self.plain_connection().execute(f"select {name}({_SAMPLES.get(name, '')})").fetchone()
        except sqlite3.Error:
            return False
        return True

    def plain_connection(self) -> sqlite3.Connection:
        """A connection whose functions are SQLite's own."""
        if self.plain is None:
            self.plain = sqlite3.Connection(":memory:", check_same_thread=False)
        return self.plain


_CURRENT = {
    "current_timestamp": "%Y-%m-%d %H:%M:%S",
    "current_date": "%Y-%m-%d",
    "current_time": "%H:%M:%S",
}
_DATES = {
    "datetime": 0,
    "date": 0,
    "time": 0,
    "julianday": 0,
    "unixepoch": 0,
    "strftime": 1,
    "timediff": 0,
}
_SAMPLES = {"strftime": "'%s'", "timediff": "'now', 'now'"}


def _is_open(connection: Any) -> bool:
    return bool(connection.in_transaction)


def _is_legacy(connection: Any) -> bool:
    """Python opens transactions by itself; since 3.12 there are other modes, and -1 means this
    one.
    """
    return bool(getattr(connection, "autocommit", -1) == -1)


def _name_store(database: Any) -> str:
    """Which database: an absolute path, or ":memory:"."""
    if isinstance(database, (str, bytes, os.PathLike)):
        name = os.fsdecode(database)
    else:
        name = repr(database)
    if name.startswith("file:"):
        in_memory = "mode=memory" in name
        if in_memory:
            name = ":memory:"
        else:
            name = name[5:].partition("?")[0]
    if name == ":memory:" or not name:
        return name
    return "sqlite:" + os.path.realpath(name)


def _connection_class(base: Any, hook: SqliteHook) -> Any:
    statements = hook.statements

    class Connection(base):  # type: ignore[misc]
        _skillrun_store = ""

        def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
            return super().cursor(hook.cursor_kind(factory))

        def execute(self, sql: str, *args: Any) -> Any:
            return self.cursor().execute(sql, *args)

        def executemany(self, sql: str, *args: Any) -> Any:
            return self.cursor().executemany(sql, *args)

        def executescript(self, sql: str) -> Any:
            return self.cursor().executescript(sql)

        def commit(self) -> None:
            # With autocommit, rolling back does nothing.
            if getattr(self, "autocommit", -1) is True:
                return
            with statements.around_end(self, "commit"), _tell_waiting(statements):
                super().commit()

        def rollback(self) -> None:
            if getattr(self, "autocommit", -1) is True:
                return
            with statements.around_end(self, "rollback"):
                super().rollback()

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

    for name, method in hook.others.list_methods(base).items():
        setattr(Connection, name, method)
    return _named_like(Connection, base)


def _cursor_class(base: Any, hook: SqliteHook) -> Any:
    statements = hook.statements

    class Cursor(base):  # type: ignore[misc]
        def execute(self, sql: str, *args: Any) -> Any:
            if not isinstance(sql, str):
                return base.execute(self, sql, *args)
            hook.others.check_statement(sql, args)
            with statements.around_statement(self.connection, sql), _tell_waiting(statements):
                base.execute(self, sql, *args)
                if _RETURNING.search(sql) and not self.connection.in_transaction:
                    self._skillrun_rows = iter(base.fetchall(self))
                    self.__class__ = returned
                return self

        def executemany(self, sql: str, *args: Any) -> Any:
            if not isinstance(sql, str):
                return base.executemany(self, sql, *args)
            with statements.around_statement(self.connection, sql), _tell_waiting(statements):
                return base.executemany(self, sql, *args)

        def executescript(self, sql: str) -> Any:
            if not isinstance(sql, str) or not statements.recorder.is_own_doing:
                return base.executescript(self, sql)
            _run_script(self.connection, sql)
            return self

    returned = _returned_class(Cursor, base)
    return _named_like(Cursor, base)


def _returned_class(cursor: Any, base: Any) -> Any:
    """The class of a cursor whose statement is committed with the last row that it returns: its
    rows are there before anybody may die.
    """

    class Returned(cursor):  # type: ignore[misc]
        def execute(self, sql: str, *args: Any) -> Any:
            self.__class__ = cursor
            return self.execute(sql, *args)

        def executemany(self, sql: str, *args: Any) -> Any:
            self.__class__ = cursor
            return self.executemany(sql, *args)

        def fetchone(self) -> Any:
            return next(self._skillrun_rows, None)

        def fetchmany(self, size: int | None = None) -> Any:
            return list(itertools.islice(self._skillrun_rows, size or self.arraysize))

        def fetchall(self) -> Any:
            return list(self._skillrun_rows)

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> Any:
            return next(self._skillrun_rows)

    return _named_like(Returned, base)


@contextlib.contextmanager
def _tell_waiting(statements: Statements) -> Iterator[None]:
    """Tells where a lock did not come in the time that SQLite waits for it: that is the machine's
    time, not ours.
    """
    begun = _real_monotonic()
    try:
        yield
    except sqlite3.OperationalError as error:
        waited = _real_monotonic() - begun
        if waited > _LATE_S and "locked" in str(error):
            statements.recorder.emit("waited", s=round(waited, 1))
        raise


def _run_script(connection: Any, script: str) -> None:
    """One statement after the other, each with its boundaries, as `executescript` does: committing
    what was open.
    """
    legacy = _is_legacy(connection)
    level = connection.isolation_level
    if legacy:
        connection.commit()
        connection.isolation_level = None  # no implicit BEGIN
    try:
        for statement in _split_script(script):
            connection.cursor().execute(statement).fetchall()
    finally:
        if legacy and level is not None:
            connection.isolation_level = level


def _split_script(script: str) -> Iterator[str]:
    """The statements of a script. A semicolon in a text or in a trigger's body ends none."""
    *parts, last = script.split(";")
    held = ""
    for part in parts:
        held += part + ";"
        if sqlite3.complete_statement(held):
            yield held
            held = ""
    if (held + last).strip():
        yield held + last


def _named_like(made: Any, base: Any) -> Any:
    made.__name__, made.__qualname__ = base.__name__, base.__qualname__
    return made
