"""The far end: a PostgreSQL database, by psycopg."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from skillrun.core.errors import Blocked, Misuse
from skillrun.core.extras import install_hint
from skillrun.core.resources import resource
from skillrun.ledger.shipping.compare import Holding
from skillrun.ledger.shipping.parcel import COLUMNS, Parcel, group_by_table

if TYPE_CHECKING:
    import psycopg

# "SKRN": one creates the tables, others wait.
_SCHEMA_LOCK = 0x534B524E
# Table, the column that has the texts, the key. An event must have the hash too: a row of the same
# number that is another one stays as it is.
_REDACTED = (
    ("event", "data", ("run_id", "n", "hash")),
    ("evidence", "detail", ("run_id", "n", "i")),
)
_KEYS = {
    "run": "run_id",
    "event": "run_id, n",
    "evidence": "run_id, n, i",
    "telemetry": "run_id, invocation",
}
# As `outbox` counts them here.
_HOLDINGS = """
    SELECT
        run_id,
        count(*),
        max(n),
        (array_agg(hash ORDER BY n DESC))[1],
        (SELECT count(*) FROM evidence WHERE evidence.run_id = event.run_id),
        (SELECT count(*) FROM telemetry WHERE telemetry.run_id = event.run_id)
    FROM event
    -- Events whose run is lost belong to nothing: they count as lost with it.
    JOIN run USING (run_id)
    WHERE run_id = ANY(%s)
    GROUP BY run_id
"""
# Parameters of an address that nobody else is to see.
_SECRETS = ("password=", "sslpassword=")


class Refusal(Exception):
    """The database does not take these rows, whenever they come; the words are its own."""


class Unreachable(Exception):
    """The database cannot be reached, or the connection broke: it may work later."""


def load_driver() -> Any:
    """The module psycopg. Raises Blocked where it is not installed."""
    try:
        import psycopg
    except ImportError:
        hint = install_hint("postgresql")
        raise Blocked(
            "psycopg is not installed, and a ledger in PostgreSQL needs it", hint=hint
        ) from None
    return psycopg


def is_url(text: str) -> bool:
    """Whether a ledger is named that is in PostgreSQL."""
    return text.startswith(("postgresql://", "postgres://"))


def hide_secrets(url: str) -> str:
    """The address without its secrets: the name of the receiver. Raises Misuse for anything
    else.
    """
    if not is_url(url):
        raise Misuse(
            f"--to {url}: not the address of a database",
            hint="--to postgresql://user@host/database",
        )
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    words = []
    for word in parts.query.split("&"):
        if not word.startswith(_SECRETS):
            words.append(word)
    query = "&".join(words)
    return urlunsplit((parts.scheme, f"{name}{at}{host}", parts.path, query, ""))


class Server:
    """One connection, made on first use, and made again after `drop`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._driver = load_driver()
        self._connection: psycopg.Connection[Any] | None = None

    def close(self) -> None:
        """Closing twice does no harm."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def _connect_once(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            made = self._driver.connect(
                self.url, connect_timeout=10, application_name="skillrun", autocommit=True
            )
            self._connection = made
            with made.transaction():
                made.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
                made.execute(resource("ledger", "postgresql", "schema.sql").read_text("utf-8"))
            made.execute("SET search_path = skillrun, public")
        return self._connection

    def take_in(self, parcels: Sequence[Parcel]) -> None:
        """Takes them in, all or none; what is there already stays. Raises Refusal and
        Unreachable.
        """
        with self._in_words():
            connection = self._connect_once()
            with connection.transaction(), connection.cursor() as cursor:
                for table, rows in group_by_table(parcels):
                    if rows:
                        self._insert_new_rows(cursor, table, rows)
                self._redact_sent_rows(cursor, parcels)

    def list_holdings(self, runs: Sequence[str]) -> dict[str, Holding]:
        """What is there of these runs. Raises Refusal and Unreachable."""
        with self._in_words():
            rows = self._connect_once().execute(_HOLDINGS, (list(runs),)).fetchall()
        return {run_id: Holding(*holding) for run_id, *holding in rows}

    def _insert_new_rows(
        self, cursor: psycopg.Cursor[Any], table: str, rows: Sequence[Sequence[Any]]
    ) -> None:
        columns, key = ", ".join(COLUMNS[table]), _KEYS[table]
        # COPY is many times as fast as INSERT, and knows no ON CONFLICT: so by way of a table that
        # ends with the transaction.
        cursor.execute(f"""
            CREATE TEMP TABLE arriving_{table} ON COMMIT DROP
            AS SELECT {columns} FROM {table} LIMIT 0""")
        with cursor.copy(f"COPY arriving_{table} ({columns}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        # In the order of the key, so that two who send the same rows wait, and do not deadlock.
        cursor.execute(f"""
            INSERT INTO {table} ({columns})
            SELECT {columns} FROM arriving_{table}
            ORDER BY {key}
            ON CONFLICT ({key}) DO NOTHING""")

    def _redact_sent_rows(self, cursor: psycopg.Cursor[Any], parcels: Sequence[Parcel]) -> None:
        """Takes out here what was taken out of the ledger after it had been sent."""
        if not any(parcel.redacted["event"] for parcel in parcels):
            return
        # The triggers of the tables allow an update only so.
        cursor.execute("SET LOCAL skillrun.redacting = 'on'")
        for table, column, key in _REDACTED:
            where = " AND ".join(f"{name} = %({name})s" for name in key)
            update = f"UPDATE {table} SET {column} = %({column})s WHERE {where}"
            rows = []
            for parcel in parcels:
                for row in parcel.redacted[table]:
                    rows.append(dict(zip(COLUMNS[table], row, strict=True)))
            cursor.executemany(update, rows)
        cursor.execute("SET LOCAL skillrun.redacting = 'off'")

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        """Errors of the database as ours; after a broken connection the next call makes a new
        one.
        """
        errors = self._driver.errors
        later = (errors.DeadlockDetected, errors.SerializationFailure, errors.InsufficientResources)
        try:
            yield
        except later as error:
            raise Unreachable(first_line(error)) from error
        except (self._driver.OperationalError, self._driver.InterfaceError) as error:
            self.close()
            raise Unreachable(first_line(error)) from error
        except (self._driver.Error, UnicodeError) as error:
            raise Refusal(first_line(error)) from error


def first_line(error: BaseException) -> str:
    """What the database says, in a line."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
