"""How a job is written with Django Q2, for an agent that has to: short, and as the proof wants
it.
"""

from __future__ import annotations

from collections.abc import Mapping

IDIOMS: Mapping[str, str] = {
    "handler": (
        """
def send_receipt(order_id: int) -> None: ...                  # a plain function; ids, not objects
async_task("shop.tasks.send_receipt", order_id, hook="shop.tasks.ended")
# on the ORM broker of the same database it is committed with the transaction; on Redis use transaction.on_commit
"""
    ),
    "retry": (
        """
Q_CLUSTER = {"orm": "default", "timeout": 60, "retry": 90, "max_attempts": 5}  # retry above timeout; 0: no bound
# every exception is run again after `retry` seconds, always the same wait. Growing waits: ack_failures: True, and
except (Unavailable, TimeoutError):
    if attempt >= ATTEMPTS: raise
    wait = timedelta(seconds=min(2 * 2 ** (attempt - 1), 60))
    schedule("shop.tasks.send_receipt", order_id, attempt + 1, next_run=timezone.now() + wait)
"""
    ),
    "dead-letter": (
        """
# a failed Task row stays: dead_letter: {kind: framework}, where ack_failures or max_attempts ends it. Else in the hook,
# which is called at each failed attempt:
def ended(task):
    if not task.success and task.attempt_count >= ATTEMPTS: bury(task.args, task.result)
# a permanent error is run again like any other: catch it in the handler, record it, and return
"""
    ),
    "observability": (
        """
log.info("send_receipt started order_id=%s", order_id)                    # and succeeded, at its end
# in the hook: task.success, task.attempt_count, task.result (the traceback); "will retry" below max_attempts
"""
    ),
    "tests": (
        "send_receipt(7), with a failing adapter; ended(Task(success=False, attempt_count=5,"
        " args=(7,)))"
    ),
}
