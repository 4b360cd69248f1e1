"""Mails invoices that are due. Cron starts it every minute; overlapping runs are fine."""

import logging
import sqlite3
import time

from billing import mailer
from billing.db import connect

log = logging.getLogger("billing.poller")
MAX_ATTEMPTS = 5
BASE_S, CAP_S = 120, 600
LEASE_S = 300

DUE = """
select id from invoices
where (status = 'pending' and due_at <= :now) or (status = 'sending' and lease_until <= :now)
order by id limit 20
"""
CLAIM = """
update invoices set status = 'sending', attempts = attempts + 1, lease_until = :now + :lease
where id = :id and ((status = 'pending' and due_at <= :now) or (status = 'sending' and lease_until <= :now))
"""

MINE = "status != 'sent' and attempts = ?"


def main() -> None:
    connection = connect()
    try:
        for row in connection.execute(DUE, {"now": time.time()}).fetchall():
            claimed = claim(connection, row["id"])
            if claimed is not None:
                process(connection, claimed)
    finally:
        connection.close()


def claim(connection: sqlite3.Connection, id_: int) -> sqlite3.Row | None:
    """The row, if no other run has it."""
    with connection:
        done = connection.execute(CLAIM, {"id": id_, "now": time.time(), "lease": LEASE_S})
    if done.rowcount == 0:
        return None
    return connection.execute("select * from invoices where id = ?", (id_,)).fetchone()


def process(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
    order_id = row["order_id"]
    log.info("invoice of order %s: attempt %s", order_id, row["attempts"])
    if "@" not in row["email"]:
        give_up(connection, row, "no address")
        return
    try:
        mailer.send(row["email"], f"Invoice {order_id}", key=f"invoice-{order_id}")
    except mailer.BadAddress as error:
        give_up(connection, row, repr(error))
    except (mailer.Unavailable, TimeoutError) as error:
        if row["attempts"] >= MAX_ATTEMPTS:
            give_up(connection, row, repr(error))
        else:
            try_later(connection, row, error)
    else:
        with connection:
            connection.execute("update invoices set status = 'sent' where id = ?", (row["id"],))
        log.info("invoice of order %s: sent", order_id)


def try_later(connection: sqlite3.Connection, row: sqlite3.Row, error: Exception) -> None:
    wait = min(BASE_S * 2 ** (row["attempts"] - 1), CAP_S)
    with connection:
        connection.execute(
            f"update invoices set status = 'pending', due_at = ? where id = ? and {MINE}",
            (time.time() + wait, row["id"], row["attempts"]),
        )
    log.warning("invoice of order %s: failed (%r), next try in %s s", row["order_id"], error, wait)


def give_up(connection: sqlite3.Connection, row: sqlite3.Row, reason: str) -> None:
    with connection:
        marked = connection.execute(
            f"update invoices set status = 'dead' where id = ? and {MINE}", (row["id"], row["attempts"])
        )
        if not marked.rowcount:
            return  # another run has taken it over
        connection.execute(
            "insert or ignore into dead_invoices (order_id, reason) values (?, ?)", (row["order_id"], reason)
        )
    log.error("invoice of order %s: given up after %s attempts: %s", row["order_id"], row["attempts"], reason)
