import random

from celery import Celery, Task
from celery.signals import setup_logging
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm.exc import StaleDataError

from . import logs, outbox, service, settings
from .orders import label
from .rail import RailUnavailable

app = Celery("bank_payouts", broker=settings.BROKER_URL)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    beat_schedule={"outbox": {"task": "outbox.publish", "schedule": 30.0}},
)
setup_logging.connect(logs.configure)

WORTH_ANOTHER_TRY = (RailUnavailable, TimeoutError, OperationalError, StaleDataError)


class PayoutTask(Task):
    def on_failure(self, exc, task_id, args, kwargs, einfo):
        service.bury(args[0] if args else kwargs.get("message"), exc)


def pause(retries):
    return random.uniform(0.5, 1) * min(settings.RETRY_CAP_SECONDS, settings.RETRY_BASE_SECONDS * 2**retries)


@app.task(bind=True, base=PayoutTask, name="payouts.send", max_retries=settings.MAX_ATTEMPTS - 1)
def send_payout(self, message):
    attempt = self.request.retries + 1
    try:
        service.send(message, attempt)
    except WORTH_ANOTHER_TRY as error:
        log = logs.job_log(service.JOB, payout_id=label(message), attempt=attempt, error=repr(error))
        log.warning("attempt failed")
        raise self.retry(exc=error, countdown=pause(self.request.retries))


@app.task(name="outbox.publish")
def publish_outbox():
    outbox.publish_pending()
