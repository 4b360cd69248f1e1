from celery import Celery
from celery.schedules import crontab
from celery.signals import setup_logging

from . import logs
from .settings import settings

app = Celery("clearpay", broker=settings.broker_url, include=["clearpay.tasks", "clearpay.approvals"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={"visibility_timeout": 3600},
    broker_connection_retry_on_startup=True,
    timezone=settings.timezone,
    beat_schedule={
        "close-period": {"task": "clearpay.close_period", "schedule": crontab(hour=2, minute=15)},
        "sweep": {"task": "clearpay.sweep", "schedule": crontab(minute=20)},
    },
)


@setup_logging.connect
def _logging(**_):
    logs.configure()
