"""How a job is written with Procrastinate, for an agent that has to: short, and as the proof wants
it.
"""

from __future__ import annotations

from collections.abc import Mapping

IDIOMS: Mapping[str, str] = {
    "handler": (
        """
@app.task(pass_context=True, retry=RetryStrategy(max_attempts=RETRIES, exponential_wait=2, retry_exceptions=[...]))
def send_receipt(context, order_id: int) -> None: ...         # ids, not objects; keyword arguments alone
send_receipt.defer(order_id=order_id)                         # defer_async in a coroutine; after the commit
App(connector=..., import_paths=["shop.tasks"])               # else the worker does not find the task
"""
    ),
    "retry": (
        """
# max_attempts counts retries: RETRIES = 4 are five runs; the n-th wait is exponential_wait ** n seconds
# a dead worker's job stays `doing`, with its lock, until a task of yours gives it back:
@app.periodic(cron="*/10 * * * *")
@app.task(queueing_lock="retry_stalled", pass_context=True)
async def retry_stalled(context, timestamp: int) -> None:
    for job in await app.job_manager.get_stalled_jobs(): await app.job_manager.retry_job(job)
"""
    ),
    "dead-letter": (
        """
except (Unavailable, TimeoutError) as error:
    if context.job.attempts >= RETRIES: bury(order_id, error)  # 0 in the first run; then raise: the job is `failed`
    raise
"""
    ),
    "observability": (
        """
log.info("send_receipt started order_id=%s job_id=%s", order_id, context.job.id)      # and succeeded, at its end
log.warning("... failed order_id=%s, attempt %s, will retry: %r", order_id, context.job.attempts + 1, error)
# its command line configures the root logger; app.run_worker() does not: logging.basicConfig before it
"""
    ),
    "tests": (
        "send_receipt(context, order_id=7) runs the function;"
        " app.replace_connector(testing.InMemoryConnector())"
    ),
}
