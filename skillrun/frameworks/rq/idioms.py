"""How a job is written with RQ 2 and 3, for an agent that has to: short, and as the proof wants
it.
"""

from __future__ import annotations

from collections.abc import Mapping

IDIOMS: Mapping[str, str] = {
    "handler": (
        """
def send_invoice(invoice_id: int) -> None: ...                # a plain function that a worker can import
queue.enqueue(send_invoice, invoice_id, retry=..., on_failure=...)   # after the commit
"""
    ),
    "retry": (
        """
queue.enqueue(send_invoice, invoice_id, retry=Retry(max=4, interval=[2, 4, 8, 16]))   # five runs in all
# RQ retries whatever the function lets out: catch permanent errors in it, record them, and return.
# Waits need a scheduler: rq worker --with-scheduler
"""
    ),
    "dead-letter": (
        """
def give_up(job, connection, kind, error, trace):             # on_failure=Callback(give_up): after every failed run
    if not job.retries_left: dead_jobs.record("send-invoice", job.args, repr(error))
# or dead_letter: {kind: framework}: RQ keeps what it gave up in the FailedJobRegistry
"""
    ),
    "observability": (
        """
log.info("send_invoice started invoice_id=%s correlation_id=%s", ...)        # and succeeded, at its end
log.warning("... failed invoice_id=%s reason=%r will_retry=%s", ..., bool(job.retries_left))   # in the callback
"""
    ),
    "tests": (
        "Queue(is_async=False, connection=...) or a call of the function itself, with a failing"
        " adapter"
    ),
}
