"""PostgreSQL through psycopg, psycopg2 and asyncpg: what they run is reported as SQLite's
statements are.

SQLAlchemy and Django come through here too.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from .imports import when_imported
from .reach import Reach
from .recorder import Recorder
from .statements import Statements
from .swap import swap_code
from .wrap import wrap_calls

_AWAY = "server closed the connection unexpectedly"
_IDLE, _IN_ERROR, _UNKNOWN = 0, 3, 4  # PGTransactionStatusType of libpq
_ROLLBACK, _WRONG = (
    "rollback",
    "select 1 / 0",
)  # what ends a transaction, and what leaves it in error


class Servers:
    """Tells of a connection to any server but the proof's own, and refuses it: libpq raises no
    audit event.
    """

    def __init__(self, recorder: Recorder, servers: tuple[str, ...]) -> None:
        """`servers`: see `reach.Reach`."""
        self.recorder, self.reach = recorder, Reach(servers)
        self.folders = [server.rstrip("/") for server in servers if server.startswith("/")]

    def explain_refusal(self, parameters: dict[str, Any]) -> str | None:
        """Why there must be no connection. `parameters` are those of libpq, and its environment's
        what they lack.
        """
        host = str(parameters.get("host") or os.environ.get("PGHOST") or "")
        address = str(parameters.get("hostaddr") or os.environ.get("PGHOSTADDR") or "")
        port = parameters.get("port") or os.environ.get("PGPORT") or 5432
        if self.is_own(host, address) or self.reach.has_port(address or host, port):
            return None
        where = f"PostgreSQL at {address or host or 'the default host'}:{port}"
        if self.recorder.is_own_act:
            self.recorder.emit(
                "undeclared", kind="network", detail=where[:200], place=self.recorder.find_place()
            )
        return f"skillrun lets a proof reach its own servers alone, and not {where}"

    def is_own(self, host: str, address: str) -> bool:
        hosts = [name for name in host.split(",") if name]
        return bool(hosts) and not address and all(self._is_below(name) for name in hosts)

    def _is_below(self, host: str) -> bool:
        return any(host == folder or host.startswith(folder + "/") for folder in self.folders)


def install_postgres(recorder: Recorder, own: tuple[str, ...]) -> None:
    """Hooks each of the drivers when it is imported. `own`: the proof's servers, see
    `reach.Reach`.
    """
    servers = Servers(recorder, own)
    when_imported("psycopg", Psycopg(recorder, servers).install)
    when_imported("psycopg2", Psycopg2(recorder, servers).install)
    when_imported("asyncpg", Asyncpg(recorder).install)


def text_of(query: Any, connection: Any) -> str:
    """A query as text, whichever way it was composed."""
    if isinstance(query, (bytes, bytearray, memoryview)):
        return bytes(query).decode("utf-8", "replace")
    if hasattr(query, "as_string"):
        with contextlib.suppress(Exception):
            return str(query.as_string(connection))
    if hasattr(query, "strings"):  # a template string
        return "?".join(query.strings)
    return str(query)


def hang_up(descriptor: int) -> None:
    """Ends both ways of a connection, as a server that goes away does. Whoever holds it learns of
    that when it is used next.
    """
    # Of a copy: the descriptor itself stays the driver's, which closes it in its own time.
    with socket.socket(fileno=os.dup(descriptor)) as ended:
        ended.shutdown(socket.SHUT_RDWR)


def _find_socket(connection: Any) -> int:
    """The descriptor below a connection of asyncpg."""
    return int(connection._transport.get_extra_info("socket").fileno())


class Psycopg:
    """psycopg 3, plain and asyncio. Its classes are Python, its protocol may be C."""

    def __init__(self, recorder: Recorder, servers: Servers) -> None:
        self.recorder, self.servers = recorder, servers
        self.statements = Statements(recorder, self._is_open, lambda connection: "postgresql")

    def install(self, module: Any) -> None:
        self.statements.failure = lambda: module.OperationalError(_AWAY)
        self.statements.drop = lambda connection: hang_up(connection.pgconn.socket)
        self.statements.abort = self._abort
        for cursor in (
            module.Cursor,
            module.AsyncCursor,
            module.ServerCursor,
            module.AsyncServerCursor,
        ):
            for name in ("execute", "executemany", "stream"):
                wrap_calls(cursor, name, self._around_statement)
        _around_copy(module.Cursor, self._around_statement)
        _around_async_copy(module.AsyncCursor, self._around_statement)
        for connection in (module.Connection, module.AsyncConnection):
            wrap_calls(
                connection,
                "commit",
                lambda connection: self.statements.around_end(
                    connection, self._find_outcome(connection)
                ),
            )
            wrap_calls(
                connection,
                "rollback",
                lambda connection: self.statements.around_end(connection, "rollback"),
            )
        wrap_calls(module.Transaction, "__exit__", self._around_transaction)
        wrap_calls(module.AsyncTransaction, "__aexit__", self._around_transaction)
        self._hook_connect(module, module.conninfo.conninfo_to_dict, module.OperationalError)

    def _is_open(self, connection: Any) -> bool:
        return int(connection.pgconn.transaction_status) not in (_IDLE, _UNKNOWN)

    def _abort(self, connection: Any, is_end: bool) -> None:
        """Through libpq itself: it waits, and an asyncio connection has no await here."""
        if self._is_open(connection):
            connection.pgconn.exec_((_ROLLBACK if is_end else _WRONG).encode())
        if is_end and hasattr(connection, "_num_transactions"):
            # Of its blocks, which have ended with it.
            connection._num_transactions = 0

    def _find_outcome(self, connection: Any) -> str:
        """A commit after an error rolls back."""
        if int(connection.pgconn.transaction_status) == _IN_ERROR:
            return "rollback"
        return "commit"

    def _around_statement(
        self, cursor: Any, query: Any = "", *args: Any, **kwargs: Any
    ) -> AbstractContextManager[None]:
        connection = cursor.connection
        return self.statements.around_statement(
            connection, text_of(kwargs.get("statement", query), connection)
        )

    def _around_transaction(
        self, transaction: Any, kind: Any = None, *args: Any
    ) -> AbstractContextManager[None]:
        """The end of a block; that of an inner one is a savepoint's."""
        connection = transaction._conn
        if not transaction._outer_transaction:
            return contextlib.nullcontext()
        is_commit = kind is None and not transaction.force_rollback
        return self.statements.around_end(
            connection, self._find_outcome(connection) if is_commit else "rollback"
        )

    def _hook_connect(self, module: Any, parse: Callable[..., Any], error: type[Exception]) -> None:
        def meet(*args: Any, **kwargs: Any) -> None:
            foreign = self._explain_refusal(parse, *args, **kwargs)
            if foreign is not None:
                raise error(foreign)

        def connect(*args: Any, **kwargs: Any) -> Any:
            meet(*args, **kwargs)
            return self.statements.add_connection(plain(*args, **kwargs))

        async def connect_async(*args: Any, **kwargs: Any) -> Any:
            meet(*args, **kwargs)
            return self.statements.add_connection(await coroutine(*args, **kwargs))

        plain = swap_code(module.Connection.connect.__func__, connect)
        coroutine = swap_code(module.AsyncConnection.connect.__func__, connect_async)

    def _explain_refusal(
        self, parse: Callable[..., Any], kind: Any, conninfo: str = "", **kwargs: Any
    ) -> str | None:
        known = ("host", "hostaddr", "port")
        # Whatever is wrong with it, connecting says.
        with contextlib.suppress(Exception):
            parameters = parse(conninfo, **{key: kwargs[key] for key in known if key in kwargs})
            return self.servers.explain_refusal(dict(parameters))
        return None


def _around_copy(cursor: Any, context: Callable[..., AbstractContextManager[None]]) -> None:
    before = cursor.copy

    @contextlib.contextmanager
    def copy(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with context(*args, **kwargs), before(*args, **kwargs) as made:
            yield made

    cursor.copy = copy


def _around_async_copy(cursor: Any, context: Callable[..., AbstractContextManager[None]]) -> None:
    before = cursor.copy

    @contextlib.asynccontextmanager
    async def copy(*args: Any, **kwargs: Any) -> Any:
        with context(*args, **kwargs):
            async with before(*args, **kwargs) as made:
                yield made

    cursor.copy = copy


class Psycopg2:
    """psycopg2. Its classes are C: connections and cursors are made of subclasses that report."""

    def __init__(self, recorder: Recorder, servers: Servers) -> None:
        self.recorder, self.servers = recorder, servers
        self.statements = Statements(recorder, self._is_open, lambda connection: "postgresql")
        self.kinds: dict[type, type] = {}

    def install(self, module: Any) -> None:
        self.statements.failure = lambda: module.OperationalError(_AWAY)
        self.statements.drop = lambda connection: hang_up(connection.fileno())
        extensions = module.extensions

        def abort(connection: Any, is_end: bool) -> None:
            """Through the classes below the reporting ones."""
            if not self._is_open(connection):
                return
            if is_end:
                extensions.connection.rollback(connection)
                return
            with contextlib.suppress(module.DataError):
                extensions.cursor(connection).execute(_WRONG)

        self.statements.abort = abort

        def connect(
            dsn: Any = None,
            connection_factory: Any = None,
            cursor_factory: Any = None,
            **kwargs: Any,
        ) -> Any:
            foreign = None
            with contextlib.suppress(Exception):
                parameters = extensions.parse_dsn(
                    extensions.make_dsn(dsn, **_leave_out_async(kwargs))
                )
                foreign = self.servers.explain_refusal(parameters)
            if foreign is not None:
                raise module.OperationalError(foreign)
            factory = connection_factory or extensions.connection
            if not isinstance(factory, type):
                self._tell_factory()
            made = before(dsn, self._connection_kind(factory), cursor_factory, **kwargs)
            return self.statements.add_connection(made)

        before = swap_code(module.connect, connect)

    def _tell_factory(self) -> None:
        """A factory that is no class makes connections that cannot be seen into."""
        if self.recorder.is_own_doing:
            self.recorder.emit(
                "undeclared",
                kind="store",
                detail="psycopg2 with a connection_factory of its own",
                place=self.recorder.find_place(),
            )

    def _is_open(self, connection: Any) -> bool:
        return connection.get_transaction_status() not in (_IDLE, _UNKNOWN)

    def _connection_kind(self, base: Any) -> Any:
        if not isinstance(base, type):
            return base
        if base not in self.kinds:
            self.kinds[base] = self._connection_class(base)
        return self.kinds[base]

    def _cursor_kind(self, base: Any) -> Any:
        if base not in self.kinds:
            self.kinds[base] = self._cursor_class(base)
        return self.kinds[base]

    def _connection_class(self, base: Any) -> Any:
        hook, statements = self, self.statements

        class Connection(base):  # type: ignore[misc]
            def cursor(self, *args: Any, **kwargs: Any) -> Any:
                """Which class it is to be, base alone knows: it is asked, then asked again for the
                subclass.
                """
                made = super().cursor(*args, **kwargs)
                if type(made) in hook.kinds.values():
                    return made
                kwargs["cursor_factory"] = hook._cursor_kind(type(made))
                if len(args) < 3:
                    return super().cursor(*args[:1], *args[2:], **kwargs)
                return made

            def commit(self) -> None:
                failed = self.get_transaction_status() == _IN_ERROR
                with statements.around_end(self, "rollback" if failed else "commit"):
                    super().commit()

            def rollback(self) -> None:
                with statements.around_end(self, "rollback"):
                    super().rollback()

        return _named_like(Connection, base)

    def _cursor_class(self, base: Any) -> Any:
        statements = self.statements

        def told(name: str, text: Callable[..., str]) -> Any:
            def method(cursor: Any, *args: Any, **kwargs: Any) -> Any:
                with statements.around_statement(cursor.connection, text(cursor, *args, **kwargs)):
                    return getattr(base, name)(cursor, *args, **kwargs)

            return method

        return _named_like(
            type("Cursor", (base,), {name: told(name, text) for name, text in _TEXTS.items()}), base
        )


_TEXTS: dict[str, Callable[..., str]] = {
    "execute": lambda cursor, query, *_, **__: text_of(query, cursor.connection),
    "executemany": lambda cursor, query, *_, **__: text_of(query, cursor.connection),
    "copy_expert": lambda cursor, sql, *_, **__: text_of(sql, cursor.connection),
    "copy_from": lambda cursor, file, table, *_, **__: f"copy {table} from stdin",
    "callproc": lambda cursor, procname, *_, **__: f"call {procname}",
}


def _leave_out_async(kwargs: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for key, value in kwargs.items():
        if key not in ("async", "async_"):
            found[key] = value
    return found


def _named_like(made: Any, base: Any) -> Any:
    made.__name__, made.__qualname__, made.__module__ = (
        base.__name__,
        base.__qualname__,
        base.__module__,
    )
    return made


class Asyncpg:
    """asyncpg. Its connections are asyncio's own: the audit sees where they go."""

    def __init__(self, recorder: Recorder) -> None:
        self.statements = Statements(
            recorder, lambda c: bool(c.is_in_transaction()), lambda c: "postgresql"
        )

    def install(self, module: Any) -> None:
        self.statements.failure = lambda: module.ConnectionDoesNotExistError(_AWAY)
        self.statements.drop = lambda connection: hang_up(_find_socket(connection))
        # Its error says that the connection is gone, and nothing here could await another end.
        self.statements.abort = lambda connection, is_end: hang_up(_find_socket(connection))
        connection = module.connection.Connection
        wrap_calls(connection, "execute", self._around_execute)
        for name in ("_execute", "_executemany"):
            wrap_calls(
                connection,
                name,
                lambda held, query, *args, **kwargs: self.statements.around_statement(held, query),
            )
        wrap_calls(
            connection,
            "_copy_in",
            lambda held, query, *args, **kwargs: self.statements.around_statement(held, query),
        )
        wrap_calls(connection, "copy_records_to_table", self._around_records)
        for name in ("__bind_execute", "executemany"):
            owner = module.prepared_stmt.PreparedStatement
            if name.startswith("__"):
                mangled = f"_PreparedStatement{name}"
            else:
                mangled = name
            wrap_calls(owner, mangled, self._around_held)
        for name in ("_bind", "_bind_exec"):
            wrap_calls(module.cursor.BaseCursor, name, self._around_held)
        self._hook_connect(module.connection)

    def _around_execute(
        self, connection: Any, query: str, *args: Any, **kwargs: Any
    ) -> AbstractContextManager[None]:
        """With arguments it goes on to `_execute`."""
        if args:
            return contextlib.nullcontext()
        return self.statements.around_statement(connection, query)

    def _around_records(
        self, connection: Any, table_name: str, *args: Any, **kwargs: Any
    ) -> AbstractContextManager[None]:
        return self.statements.around_statement(connection, f"copy {table_name} from stdin")

    def _around_held(self, held: Any, *args: Any, **kwargs: Any) -> AbstractContextManager[None]:
        """Of a prepared statement or a cursor."""
        return self.statements.around_statement(held._connection, held._query)

    def _hook_connect(self, module: Any) -> None:
        async def connect(*args: Any, **kwargs: Any) -> Any:
            return self.statements.add_connection(await before(*args, **kwargs))

        before = swap_code(module.connect, connect)
