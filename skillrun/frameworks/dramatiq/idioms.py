"""How a job is written with Dramatiq 2, for an agent that has to: short, and as the proof wants
it.
"""

from __future__ import annotations

from collections.abc import Mapping

IDIOMS: Mapping[str, str] = {
    "handler": (
        """
@dramatiq.actor(queue_name="default")
def refund(payment_id: int) -> None: ...                      # ids, not objects
refund.send(payment_id)                                       # after the commit
"""
    ),
    "retry": (
        """
@dramatiq.actor(max_retries=4, min_backoff=2_000, max_backoff=60_000,      # milliseconds; five attempts in all
                throws=(BadAccount,))                                     # permanent: not tried again
"""
    ),
    "dead-letter": (
        """
@dramatiq.actor(max_retries=4, on_retry_exhausted="refund_dead", throws=(BadAccount,))
# the named actor is sent the message and the count; a permanent error goes there only if the handler sends it itself
"""
    ),
    "observability": (
        """
log.info("refund started payment_id=%s correlation_id=%s", ...)     # and succeeded, at the end of the handler
# a Middleware with after_process_message(broker, message, *, exception): log why it failed and whether it is retried
"""
    ),
    "tests": (
        "StubBroker and Worker(worker_timeout=100): refund.send(1); broker.join('default');"
        " worker.join()"
    ),
}
