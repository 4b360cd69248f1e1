"""The background job: book one closed invoice."""

import json
import logging
from typing import Any

from rq.job import Job

from billing import accounting, db

log = logging.getLogger(__name__)


class InvalidInvoice(ValueError):
    """No invoice can have this number."""


PERMANENT = (accounting.Rejected, InvalidInvoice, TypeError)


def was_booked(invoice_id: int) -> bool:
    """Whether this invoice was booked."""
    with db.transaction() as connection:
        row = connection.execute("SELECT 1 FROM bookings WHERE invoice_id = ?", (invoice_id,)).fetchone()
        return row is not None


def mark_booked(invoice_id: int, cents: int) -> None:
    """Records the booking, once."""
    with db.transaction() as connection:
        connection.execute("INSERT INTO bookings VALUES (?, ?) ON CONFLICT DO NOTHING", (invoice_id, cents))


def book_invoice(invoice_id: int, cents: int) -> None:
    """Books one invoice, once however often the job runs."""
    if not isinstance(invoice_id, int) or invoice_id < 1:
        raise InvalidInvoice(f"{invoice_id!r} is no invoice")
    log.info("booking started invoice_id=%s", invoice_id)
    if was_booked(invoice_id):
        log.info("already booked invoice_id=%s", invoice_id)
        return
    accounting.post(invoice_id, cents, idempotency_key=f"invoice-{invoice_id}")
    mark_booked(invoice_id, cents)
    log.info("booking succeeded invoice_id=%s", invoice_id)


def failed(job: Job, connection: Any, kind: type[Exception], error: Exception, trace: Any) -> None:
    """After each failed attempt: RQ retries whatever is raised, unless no attempt is left."""
    invoice = job.kwargs.get("invoice_id")
    if isinstance(error, PERMANENT):
        job.retries_left = 0
    if job.retries_left:
        log.warning("booking will be retried invoice_id=%s reason=%r", invoice, error)
        return
    log.error("booking is dead invoice_id=%s reason=%r", invoice, error)
    with db.transaction() as transaction:
        row = (json.dumps(job.kwargs, sort_keys=True), repr(error))
        transaction.execute("INSERT INTO dead_jobs VALUES (?, ?) ON CONFLICT DO NOTHING", row)
