import logging
import uuid

from huey import CancelExecution, crontab

from gymnote.dunning import bury, collect
from gymnote.errors import BadMessage, Permanent
from gymnote.logs import JobLog
from gymnote.outbox import publish_pending, rescue_stuck
from gymnote.queue import huey

logger = logging.getLogger(__name__)


# waits 30 s, 1, 2 and 4 minutes between its attempts
@huey.task(retries=4, retry_delay=30, retry_backoff=2, context=True)
def dun_member(invoice_id=None, task=None, **unexpected):
    task_id = task.id if task else str(uuid.uuid4())
    message = {"invoice_id": invoice_id, **unexpected}
    retries_left = task.retries if task else 0
    log = JobLog(logger, {"job": "dun_member", "task_id": task_id, "invoice_id": invoice_id})
    log.info("started", extra={"retries_left": retries_left})
    try:
        if unexpected or type(invoice_id) is not int or invoice_id < 1:
            raise BadMessage(repr(message))
        collect(invoice_id, log)
    except Permanent as error:
        log.error("failed, will not be tried again", extra={"reason": repr(error)})
        bury(task_id, "dun_member", message, error)
        raise CancelExecution(str(error), retry=False) from error
    except Exception as error:
        if retries_left:
            log.warning("failed, will be tried again", extra={"reason": repr(error), "wait": task.retry_delay})
        else:
            log.error("failed on its last attempt", extra={"reason": repr(error)})
            bury(task_id, "dun_member", message, error)
        raise
    log.info("succeeded")


@huey.periodic_task(crontab(minute="*"))
def relay():
    publish_pending()


@huey.periodic_task(crontab(minute="*/10"))
def rescue():
    rescue_stuck()
