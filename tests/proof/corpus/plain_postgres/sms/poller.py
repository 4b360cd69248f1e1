"""Sends what is in the outbox; several of these run side by side."""

import logging
import os
import re

import psycopg
from psycopg.rows import dict_row

from sms import gateway

log = logging.getLogger("sms.poller")

NEXT = "select id, parcel, phone from outbox where status = 'new' order by id limit 1 for update skip locked"


def main() -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], row_factory=dict_row) as connection:
        while (row := take(connection)) is not None:
            send(connection, row)


def take(connection: psycopg.Connection) -> dict | None:
    """Takes one row off for good: from here on a crash loses the text rather than repeat it."""
    with connection.transaction():
        row = connection.execute(NEXT).fetchone()
        if row is not None:
            connection.execute("update outbox set status = 'taken' where id = %(id)s", row)
    return row


def send(connection: psycopg.Connection, row: dict) -> None:
    parcel = row["parcel"]
    log.info("text for parcel %s: sending", parcel)
    try:
        if not re.fullmatch(r"\+\d+", row["phone"]):
            raise gateway.NoSuchNumber(row["phone"])
        gateway.send(row["phone"], f"Parcel {parcel} is on its way")
    except (gateway.Busy, gateway.NoSuchNumber, TimeoutError) as error:
        fail(connection, row, error)
    else:
        log.info("text for parcel %s: sent", parcel)


def fail(connection: psycopg.Connection, row: dict, error: Exception) -> None:
    with connection.transaction():
        connection.execute("update outbox set status = 'failed' where id = %(id)s", row)
        connection.execute(
            "insert into failed_sms (parcel, reason) values (%s, %s) on conflict do nothing",
            (row["parcel"], repr(error)),
        )
    log.error("text for parcel %s: given up: %r", row["parcel"], error)
