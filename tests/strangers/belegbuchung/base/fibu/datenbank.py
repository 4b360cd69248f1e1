"""SQLite von Hand: Verbindung, Transaktion, Schema."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from fibu import einstellungen

SCHEMA = (
    """
    CREATE TABLE IF NOT EXISTS nummernkreis (
        jahr   INTEGER PRIMARY KEY,
        letzte INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS belege (
        id          INTEGER PRIMARY KEY,
        belegnummer TEXT UNIQUE,
        jahr        INTEGER NOT NULL,
        kreditor    TEXT NOT NULL,
        konto       TEXT NOT NULL,
        betrag_cent INTEGER NOT NULL CHECK (betrag_cent > 0),
        status      TEXT NOT NULL DEFAULT 'erfasst',
        versuche    INTEGER NOT NULL DEFAULT 0,
        bewegt_am   REAL,
        buchungs_id TEXT
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS klaerfaelle (
        id          INTEGER PRIMARY KEY,
        job         TEXT NOT NULL,
        beleg_id    INTEGER,
        nutzlast    TEXT NOT NULL,
        grund       TEXT NOT NULL,
        angelegt_am TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
        UNIQUE (job, nutzlast)
    )
    """,
)


@contextmanager
def transaktion() -> Iterator[sqlite3.Connection]:
    """Schreibende Transaktion. BEGIN IMMEDIATE, damit sich zwei Leser nicht gegenseitig überholen."""
    verbindung = sqlite3.connect(einstellungen.datenbank(), timeout=30, isolation_level=None)
    verbindung.row_factory = sqlite3.Row
    try:
        verbindung.execute("BEGIN IMMEDIATE")
        try:
            yield verbindung
        except BaseException:
            verbindung.execute("ROLLBACK")
            raise
        verbindung.execute("COMMIT")
    finally:
        verbindung.close()


@contextmanager
def lesen() -> Iterator[sqlite3.Connection]:
    verbindung = sqlite3.connect(einstellungen.datenbank(), timeout=30, isolation_level=None)
    verbindung.row_factory = sqlite3.Row
    try:
        yield verbindung
    finally:
        verbindung.close()


def schema_anlegen() -> None:
    with transaktion() as db:
        for anweisung in SCHEMA:
            db.execute(anweisung)
