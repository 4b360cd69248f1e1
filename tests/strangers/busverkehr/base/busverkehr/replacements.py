"""The rows of `replacements`: open -> ordered, or failed.

Every function is one transaction.
"""
import time
from dataclasses import dataclass

from busverkehr import config
from busverkehr.store import transaction


@dataclass(frozen=True)
class Order:
    id: int
    tries: int
    first_try_at: int
    card: dict

    @property
    def number(self):
        return f"BV-E-{self.id}"


def due(connection):
    """The ids of what is to be tried now, the longest waiting first."""
    rows = connection.execute(
        "select id, tries from replacements where status = 'open' and next_try_at <= ?"
        " order by next_try_at, id limit ?",
        (int(time.time()), config.BATCH),
    )
    return [(row["id"], row["tries"]) for row in rows]


def take(connection, replacement_id, tries):
    """Count a try, and have the others wait until its answer must be there; None if they were faster."""
    now = int(time.time())
    with transaction(connection):
        taken = connection.execute(
            "update replacements set tries = tries + 1, first_try_at = coalesce(first_try_at, ?), next_try_at = ?"
            " where id = ? and status = 'open' and tries = ?",
            (now, now + wait_after(tries + 1), replacement_id, tries),
        ).rowcount
        if not taken:
            return None
        row = connection.execute("select * from replacements where id = ?", (replacement_id,)).fetchone()
    card = {name: row[name] for name in ("ticket_no", "holder", "street", "town", "zones", "valid_until")}
    return Order(row["id"], row["tries"], row["first_try_at"], card)


def ordered(connection, order, printer_job):
    """The printer has it, whatever else has been thought of it meanwhile."""
    with transaction(connection):
        changed = connection.execute(
            "update replacements set status = 'ordered', printer_job = ? where id = ? and status in ('open', 'failed')",
            (printer_job, order.id),
        ).rowcount
        connection.execute("delete from failed_orders where replacement_id = ?", (order.id,))
    return bool(changed)


def failed(connection, order, reason):
    with transaction(connection):
        changed = connection.execute(
            "update replacements set status = 'failed' where id = ? and status = 'open'", (order.id,)
        ).rowcount
        if changed:
            connection.execute(
                "insert into failed_orders (replacement_id, reason, failed_at) values (?, ?, ?)",
                (order.id, reason[:200], int(time.time())),
            )
    return bool(changed)


def wait_after(tries):
    return min(config.FIRST_WAIT * 2 ** (tries - 1), config.LONGEST_WAIT)
