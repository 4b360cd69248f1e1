"""How a job is written with SAQ, for an agent that has to: short, and as the proof wants it."""

from __future__ import annotations

from collections.abc import Mapping

IDIOMS: Mapping[str, str] = {
    "handler": (
        """
async def send_receipt(ctx, *, order_id: int) -> None: ...       # named arguments, ids, not objects
settings = {"queue": queue, "functions": [send_receipt]}         # saq shop.worker.settings -v
await queue.enqueue("send_receipt", order_id=order_id, retries=ATTEMPTS + 5)  # after the commit
"""
    ),
    "retry": (
        """
# SAQ runs any exception again while retries allows it: 1 unless who enqueues says more
except (Unavailable, TimeoutError) as error:
    if job.attempts >= ATTEMPTS: bury(order_id, error); return  # job = ctx["job"]
    job.retry_delay = min(2 * 2 ** (job.attempts - 1), 60)
    raise
# retries above ATTEMPTS: a death uses one up, and after the last one SAQ calls nothing of yours
"""
    ),
    "dead-letter": (
        """
# SAQ has none, and forgets a failed job after its ttl: record it in the handler, at the last
# attempt and on a permanent error, and return
"""
    ),
    "observability": (
        """
log.info("send_receipt started order_id=%s job=%s", order_id, ctx["job"].key)
log.warning("... failed order_id=%s, attempt %s, will retry: %r", order_id, job.attempts, error)
# saq's command line shows warnings alone: start it with -v
"""
    ),
    "tests": (
        "await send_receipt({'job': Job('send_receipt', attempts=1)}, order_id=7), with a failing"
        " adapter"
    ),
}
