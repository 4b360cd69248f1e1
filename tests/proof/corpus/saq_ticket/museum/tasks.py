"""The background job: send one ticket."""

import logging
from contextlib import closing
from typing import Any

from saq.types import Context

from museum import db, post

log = logging.getLogger(__name__)
ATTEMPTS = 4
RETRIES = ATTEMPTS + 5  # a death uses up an attempt: some are left for the dead letter


async def send_ticket(ctx: Context, *, sale_id: Any = None, email: Any = "") -> None:
    """Sends one ticket, once however often the job runs."""
    job = ctx["job"]
    log.info("ticket started sale=%s", sale_id)
    if not isinstance(sale_id, int) or "@" not in email:
        give_up(sale_id, "no sale with an address")
        return
    if was_sent(sale_id):
        log.info("ticket was sent before sale=%s", sale_id)
        return
    try:
        await post.send(email, sale_id, reference=f"ticket-{sale_id}")
    except (post.Unavailable, TimeoutError) as error:
        if job.attempts >= ATTEMPTS:
            give_up(sale_id, repr(error))
            return
        log.warning("ticket will be retried sale=%s reason=%r", sale_id, error)
        job.retry_delay = 5 * 3 ** (job.attempts - 1)
        raise
    except post.Rejected as error:
        give_up(sale_id, repr(error))
        return
    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into tickets values (?, ?)", (sale_id, email))
    log.info("ticket sent sale=%s", sale_id)


def was_sent(sale_id: int) -> bool:
    with closing(db.connect()) as connection:
        found = connection.execute("select 1 from tickets where sale_id = ?", (sale_id,))
        return found.fetchone() is not None


def give_up(sale_id: object, reason: str) -> None:
    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into dead_tickets values (?, ?)", (str(sale_id), reason))
    log.error("ticket given up sale=%s reason=%s", sale_id, reason)
