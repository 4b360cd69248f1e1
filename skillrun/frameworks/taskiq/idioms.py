"""How a job is written with taskiq, for an agent that has to: short, and as the proof wants it."""

from __future__ import annotations

from collections.abc import Mapping

IDIOMS: Mapping[str, str] = {
    "handler": (
        """
# ListQueueBroker loses what a worker dies with
broker = RedisStreamBroker(URL).with_middlewares(Outcomes(), Retries(...))
@broker.task
async def send_receipt(order_id: int) -> None: ...            # ids, not objects
await send_receipt.kiq(order_id=7)                            # after the commit
"""
    ),
    "retry": (
        """
# nothing is retried unless the task asks for it; max_retries counts runs
class Retries(SmartRetryMiddleware):
    def make_delay(self, message, retries): return min(2 * 2 ** (retries - 1), 60) + random.random()
due = ListRedisScheduleSource(URL); scheduler = TaskiqScheduler(broker, sources=[due])   # its own process
Retries(default_retry_count=5, default_retry_label=True, schedule_source=due, types_of_exceptions=(Unavailable,))
# without schedule_source the wait is a label that no Redis broker reads
"""
    ),
    "dead-letter": (
        """
class Outcomes(TaskiqMiddleware):                             # before the retries in the list: on_error goes backwards
    def on_error(self, message, result, exception):
        if isinstance(result.error, NoResultError): log.warning("... will be retried ...")   # it was retried
        else: dead_jobs.record(message.kwargs, repr(exception))
"""
    ),
    "observability": (
        """
log.info("send_receipt started order_id=%s", order_id)        # and succeeded, at its end
log.warning("... failed order_id=%s, will be retried: %r", ...)    # in on_error of the middleware above
"""
    ),
    "tests": (
        "await send_receipt(order_id=7) calls the function; InMemoryBroker(await_inplace=True) runs"
        " middlewares"
    ),
}
