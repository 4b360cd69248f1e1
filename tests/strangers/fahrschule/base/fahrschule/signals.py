"""What Celery tells us about tasks that have failed for good."""
import logging
import time

from billiard.exceptions import WorkerLostError
from celery.exceptions import Reject
from celery.signals import task_failure
from sqlalchemy.exc import OperationalError

from fahrschule import charging

log = logging.getLogger("fahrschule.signals")

TASK = "fahrschule.charge_package"
WRITES = 3


def purchase_in(args, kwargs):
    """The purchase of a message that is as it should be."""
    if args or set(kwargs or ()) != {"purchase_id"}:
        return None
    purchase_id = kwargs["purchase_id"]
    return purchase_id if type(purchase_id) is int and purchase_id > 0 else None


@task_failure.connect(weak=False)
def write_dead_letter(sender=None, task_id=None, exception=None, args=None, kwargs=None, **_):
    if getattr(sender, "name", None) != TASK:
        return
    if isinstance(exception, (Reject, WorkerLostError)):
        # The message is gone, the purchase is still open: the sweep's business.
        log.error("job=charge_package id=%s outcome=lost reason=%s", task_id, type(exception).__name__)
        return
    purchase_id = purchase_in(args, kwargs)
    subject = "message-%s" % task_id if purchase_id is None else charging.subject_of(purchase_id)
    reason = type(exception).__name__
    for attempt in range(1, WRITES + 1):
        try:
            buried = charging.in_app(charging.bury)(subject, purchase_id, task_id, reason)
            break
        except OperationalError:
            if attempt == WRITES:
                log.critical("job=charge_package id=%s key=%s outcome=unwritten reason=%s", task_id, subject, reason)
                return
            time.sleep(0.2)
    log.error(
        "job=charge_package id=%s key=%s outcome=%s reason=%s",
        task_id, subject, "dead" if buried else "superseded", reason,
    )
