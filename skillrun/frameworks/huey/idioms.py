"""How a job is written with Huey 2 and 3, for an agent that has to: short, and as the proof wants
it.
"""

from __future__ import annotations

from collections.abc import Mapping

IDIOMS: Mapping[str, str] = {
    "handler": (
        """
@huey.task()
def ship(order_id: int) -> None: ...                          # ids, not objects
ship(order_id)                                                # a call enqueues it; after the commit
"""
    ),
    "retry": (
        """
@huey.task(retries=4, retry_delay=2, context=True)            # five attempts in all; the delay is fixed
def ship(order_id, task=None): ...
# growing waits: set task.retry_delay before raising
# permanent errors: record, then raise CancelExecution(retry=False)
"""
    ),
    "dead-letter": (
        """
@huey.signal(SIGNAL_ERROR)
def give_up(signal, task, exc=None):
    if task.retries == 0: dead_jobs.record(task.name, task.args, repr(exc))
"""
    ),
    "observability": (
        """
log.info("ship started order_id=%s correlation_id=%s", ...)         # and succeeded, at the end of the handler
@huey.signal(SIGNAL_ERROR, SIGNAL_RETRYING)                         # why it failed, and whether it is retried
"""
    ),
    "tests": (
        "huey.immediate = True runs it in the process; or ship.call_local(1), with a failing"
        " adapter"
    ),
}
