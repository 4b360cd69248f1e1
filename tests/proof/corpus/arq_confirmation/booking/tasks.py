"""The background job: confirm one booking."""

import logging
from contextlib import closing
from typing import Any

from arq import Retry

from booking import db, mailer

log = logging.getLogger(__name__)
ATTEMPTS = 4


async def confirm(ctx: dict[str, Any], booking_id: int | None = None, email: str = "") -> None:
    """Confirms one booking, once however often the job runs."""
    log.info("confirmation started booking=%s", booking_id)
    if not isinstance(booking_id, int) or "@" not in email:
        give_up(booking_id, "no booking with an address")
        return
    if was_sent(booking_id):
        log.info("confirmation was sent before booking=%s", booking_id)
        return
    try:
        await mailer.send(email, booking_id, reference=f"confirmation-{booking_id}")
    except (mailer.Unavailable, TimeoutError) as error:
        if ctx["job_try"] >= ATTEMPTS:
            give_up(booking_id, repr(error))
            return
        log.warning("confirmation will be retried booking=%s reason=%r", booking_id, error)
        raise Retry(defer=5 * 3 ** (ctx["job_try"] - 1)) from error
    except mailer.Rejected as error:
        give_up(booking_id, repr(error))
        return
    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into confirmations values (?, ?)", (booking_id, email))
    log.info("confirmation sent booking=%s", booking_id)


def was_sent(booking_id: int) -> bool:
    with closing(db.connect()) as connection:
        found = connection.execute("select 1 from confirmations where booking_id = ?", (booking_id,))
        return found.fetchone() is not None


def give_up(booking_id: object, reason: str) -> None:
    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into dead_confirmations values (?, ?)", (str(booking_id), reason))
    log.error("confirmation given up booking=%s reason=%s", booking_id, reason)
