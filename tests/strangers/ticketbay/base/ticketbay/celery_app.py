from celery import Celery
from celery.signals import setup_logging

from . import logs
from .settings import settings

app = Celery("ticketbay", broker=settings.broker_url, include=["ticketbay.tasks", "ticketbay.sweeps"])
app.conf.update(
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={"visibility_timeout": 900},
    broker_connection_retry_on_startup=True,
    timezone="UTC",
    beat_schedule={
        "publish-pending": {"task": "ticketbay.publish_pending", "schedule": 30.0},
        "requeue-stuck": {"task": "ticketbay.requeue_stuck", "schedule": 15 * 60.0},
    },
)


@setup_logging.connect
def _logging(**_):
    logs.configure()
