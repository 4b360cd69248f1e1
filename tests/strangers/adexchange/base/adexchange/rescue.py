"""python -m adexchange.rescue, hourly by cron: orders that stand still.

Their message was never sent, Redis has lost it, or a work horse died and nobody could write that down.
"""
from structlog.contextvars import bound_contextvars

from . import jobs, ledger, log, queueing, settings
from .models import now

logger = log.get("adexchange.rescue")


def rescue():
    for order in ledger.standing_still(now() - settings.STALE):
        job_id = queueing.job_id_of(order.order_no)
        with bound_contextvars(job="top_up", job_id=job_id, key=order.order_no, attempt=order.starts):
            try:
                _rescue(order, job_id)
            except Exception as error:
                # The others shall not wait for this one.
                logger.error("not rescued", outcome="not-rescued", error=type(error).__name__)


def _rescue(order, job_id):
    if order.starts >= settings.MAX_ATTEMPTS:
        jobs.bury({"order_no": order.order_no}, jobs.Exhausted.__name__, job_id)
    elif not queueing.waiting(order.order_no):
        queueing.put(order.order_no)
        ledger.touch(order.order_no)
        logger.warning("queued again", outcome="rescued")


if __name__ == "__main__":
    rescue()
