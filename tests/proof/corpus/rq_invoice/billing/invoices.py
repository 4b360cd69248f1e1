"""Invoices: what the shop calls when an order is shipped."""

from rq import Callback, Retry

from billing import db, jobs
from billing.queues import queue


def close(invoice_id: int, cents: int) -> None:
    """Stores a closed invoice and has it booked, after the commit. Calling it again is safe."""
    with db.transaction() as connection:
        connection.execute("INSERT INTO invoices VALUES (?, ?) ON CONFLICT (id) DO NOTHING", (invoice_id, cents))
    queue.enqueue(
        jobs.book_invoice,
        invoice_id=invoice_id,
        cents=cents,
        retry=Retry(max=3, interval=[10, 30, 60]),
        on_failure=Callback(jobs.failed),
    )
