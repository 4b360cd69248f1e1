"""What every database driver's hook reports through: boundaries around statements, commits and
rollbacks.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from .recorder import Recorder
from .sql_text import Parsed, find_reach, parse_statement
from .values import shorten_text

_QUIET = (
    "begin",
    "pragma",
    "savepoint",
    "rollback to",
    "set",
    "show",
    "reset",
    "discard",
    "explain",
    "attach",
    "detach",
    "analyze",
    "vacuum",
    "prepare",
    "deallocate",
    "listen",
    "unlisten",
    "?",
)
_NO_NAME = re.compile(r"[^\w.-]")


class Link:
    """One connection: the process that opened it, and what its transaction holds."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.holds = False  # a statement ran in the open transaction
        self.mine = (
            False  # and it was the handler's: so is its end, also in a decorator of a library
        )
        self.outer: str | None = None  # the savepoint that began it

    def is_older_than_this_process(self) -> bool:
        return self.pid != os.getpid()


class Statements:
    """One to a driver. `is_open(connection)`: it is in a transaction. `store_of(connection)`: which
    database it is.

    Nothing is silenced while a statement runs: in another thread or task the handler goes on.
    """

    def __init__(
        self, recorder: Recorder, is_open: Callable[[Any], bool], store_of: Callable[[Any], str]
    ) -> None:
        self.recorder, self.is_open, self.store_of = recorder, is_open, store_of
        self.failure: Callable[[], BaseException] | None = (
            None  # the driver's error of a database that cannot write
        )
        # Closes a connection from the server's side; None: there is no server.
        self.drop: Callable[[Any], None] | None = None
        # What `failure` is the error of, done on the server's side: at a commit or a rollback
        # (True) the transaction is over, after a statement (False) it is in error. A server keeps
        # no lock for either. None: there is no server, and an error leaves the transaction open.
        self.abort: Callable[[Any, bool], None] | None = None
        self._links: weakref.WeakKeyDictionary[Any, Link] = weakref.WeakKeyDictionary()

    def add_connection(self, connection: Any) -> Any:
        """A connection was opened in this process."""
        self._links[connection] = Link(os.getpid())
        return connection

    def find_link(self, connection: Any) -> Link:
        return self._links.get(connection) or self._links.setdefault(connection, Link(os.getpid()))

    @contextlib.contextmanager
    def around_statement(self, connection: Any, sql: str) -> Iterator[None]:
        """Boundaries around one statement; COMMIT and ROLLBACK written as SQL count as such."""
        parsed, link = parse_statement(sql), self.find_link(connection)
        self._tell_reach(connection, sql)
        if parsed.verb in ("commit", "rollback"):
            with self.around_end(connection, parsed.verb):
                yield
        elif parsed.verb == "release" and link.outer == parsed.table:
            with self.around_end(connection, "commit"):
                yield
        elif parsed.verb in _QUIET or parsed.verb == "release" or _of_the_driver(parsed, sql):
            if parsed.verb == "savepoint" and not self.is_open(connection):
                link.outer = parsed.table
            yield
        else:
            link.holds = True
            with self._report_statement(connection, link, parsed, sql):
                yield
            link.holds = self.is_open(connection)

    def _tell_reach(self, connection: Any, sql: str) -> None:
        """The server as a deputy: it does for a superuser what the delivery itself may not."""
        if not self.recorder.is_own_doing or self.store_of(connection) != "postgresql":
            return
        reached = find_reach(sql)
        if reached is not None:
            self.recorder.emit(
                "undeclared",
                kind="store",
                detail=f"{reached} in PostgreSQL",
                place=self.recorder.find_place(),
            )

    @contextlib.contextmanager
    def _report_statement(
        self, connection: Any, link: Link, parsed: Parsed, sql: str
    ) -> Iterator[None]:
        if not self.recorder.is_own_doing:
            yield
            return
        link.mine = True
        verb, table, written = parsed
        self._tell_age(connection, link)
        name = self.recorder.next_name(_NO_NAME.sub("_", f"{verb}-{table}" if table else verb))
        fields: dict[str, Any] = {
            "kind": "sql",
            "verb": verb,
            "table": table,
            "tables": list(written),
            "store": self.store_of(connection),
            "place": self.recorder.find_place(),
        }
        fields["sql"] = shorten_text(" ".join(sql.split()))
        begun = self.is_open(connection)
        self._meet_before(connection, name, is_end=False, begun=begun, **fields)
        del fields["sql"]
        yield
        fields["open"] = self.is_open(connection)
        self.recorder.meet_boundary("after", name, **fields)

    @contextlib.contextmanager
    def around_end(self, connection: Any, what: str) -> Iterator[None]:
        """Boundaries around a commit or a rollback. Where there is nothing to end, there is
        none.
        """
        link = self.find_link(connection)
        is_mine = self.recorder.is_own_doing or (link.mine and self.recorder.is_listening)
        holds, link.holds, link.mine, link.outer = link.holds, False, False, None
        asked = holds and is_mine and self.is_open(connection)
        if not asked and not self.recorder.carries(connection):
            yield
            self.recorder.ended(connection, what)
            return
        name = self.recorder.next_name(what)
        fields: dict[str, Any] = {
            "kind": what,
            "store": self.store_of(connection),
            "place": self.recorder.find_place(),
        }
        self._meet_before(connection, name, is_end=True, **fields)
        yield
        self.recorder.ended(connection, what)
        self.recorder.meet_boundary("after", name, **fields)

    def _meet_before(self, connection: Any, name: str, *, is_end: bool, **fields: Any) -> None:
        """The boundary before something is asked of the store, at which it may fail."""
        drop = abort = None
        if self.drop is not None:
            drop = functools.partial(self.drop, connection)
        if self.abort is not None:
            abort = functools.partial(self.abort, connection, is_end)
        self.recorder.meet_boundary("before", name, self.failure, drop, abort, **fields)

    def _tell_age(self, connection: Any, link: Link) -> None:
        """A connection from before the fork shares its socket, or its cache, with every other
        delivery.
        """
        if not link.is_older_than_this_process():
            return
        link.pid = os.getpid()
        self.recorder.emit(
            "note",
            what="connection-before-fork",
            store=self.store_of(connection),
            text="a database connection that was opened at import is used after the fork",
            place=self.recorder.find_place(),
        )


def _of_the_driver(parsed: Parsed, sql: str) -> bool:
    """What is asked of a new connection about its server and catalog, and how asyncpg resets an old
    one.
    """
    if parsed.verb != "select" or parsed.written:
        return False
    if parsed.table.startswith(("pg_", "sqlite_")):
        return True
    text = " ".join(sql.lower().split()).rstrip("; ")
    reset = text.startswith("select pg_advisory_unlock_all()") and text.endswith("reset all")
    return reset or text in _QUESTIONS or text.startswith("select sqlite_")


_QUESTIONS = (
    "select pg_catalog.version()",
    "select version()",
    "select current_schema()",
    "select current_schema",
    "select 1",
)
