"""How a job is written with arq, for an agent that has to: short, and as the proof wants it."""

from __future__ import annotations

from collections.abc import Mapping

IDIOMS: Mapping[str, str] = {
    "handler": (
        """
async def send_receipt(ctx, order_id: int) -> None: ...       # ids, not objects
class WorkerSettings: functions = [func(send_receipt, max_tries=ATTEMPTS + 5)]
await redis.enqueue_job("send_receipt", order_id)             # by name; after the commit
"""
    ),
    "retry": (
        """
# arq retries Retry alone: any other exception ends the job at once
except (Unavailable, TimeoutError) as error:
    if ctx["job_try"] >= ATTEMPTS: bury(order_id, error); return
    raise Retry(defer=min(2 * 2 ** (ctx["job_try"] - 1), 60)) from error
# max_tries above ATTEMPTS: a death uses up a try, and after the last one arq calls nothing of yours
"""
    ),
    "dead-letter": (
        """
# arq has none: record it in the handler, at the last attempt and on a permanent error, and return
"""
    ),
    "observability": (
        """
log.info("send_receipt started order_id=%s job_id=%s", order_id, ctx["job_id"])       # and succeeded, at its end
log.warning("... failed order_id=%s, try %s, will retry: %r", order_id, ctx["job_try"], error)
# arq's command line configures the logger "arq" alone: logging.basicConfig in on_startup, or --custom-log-dict
"""
    ),
    "tests": (
        "await send_receipt({'job_try': 1, 'job_id': 'x', 'redis': None}, 7), with a failing"
        " adapter"
    ),
}
