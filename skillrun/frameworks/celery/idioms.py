"""How a job is written with Celery 5, for an agent that has to: short, and as the proof wants
it.
"""

from __future__ import annotations

from collections.abc import Mapping

IDIOMS: Mapping[str, str] = {
    "handler": (
        """
@app.task(bind=True, name="shop.send_receipt", acks_late=True)
def send_receipt(self, order_id: int) -> None: ...          # ids, not objects
transaction.on_commit(lambda: send_receipt.delay(order_id))  # publish after the commit; a death in between loses
# the job unless the call can be repeated, or a row of the same transaction is published later (outbox)
"""
    ),
    "retry": (
        """
@app.task(bind=True, acks_late=True, autoretry_for=(mailer.Unavailable, TimeoutError),
          max_retries=4,                  # five attempts in all
          retry_backoff=2, retry_backoff_max=60, retry_jitter=True)
"""
    ),
    "dead-letter": (
        """
@task_failure.connect(sender=send_receipt)   # after the last attempt; also when that killed its own process
def give_up(sender, exception, kwargs, **_): dead_jobs.record("send-receipt", kwargs, repr(exception))
"""
    ),
    "observability": (
        """
class LoggedTask(Task):                      # base=LoggedTask
    def on_retry(self, exc, task_id, args, kwargs, einfo): log.warning("... will retry order_id=%s reason=%r", ...)
    def on_failure(self, exc, task_id, args, kwargs, einfo): log.error("... failed order_id=%s reason=%r", ...)
log.info("send_receipt started order_id=%s correlation_id=%s", ...)   # and succeeded, at the end of the handler
"""
    ),
    "tests": (
        "send_receipt.apply(kwargs={...}) runs it in the process; make the adapter raise and look"
        " at what is left"
    ),
}
