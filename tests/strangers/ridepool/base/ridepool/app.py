from celery import Celery
from celery.signals import setup_logging

from ridepool import log, settings

app = Celery("ridepool", broker=settings.BROKER, include=["ridepool.tasks"])
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_default_queue="payouts",
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 1800},
    task_publish_retry_policy={"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5},
    beat_schedule={"sweep-payouts": {"task": "ridepool.sweep_payouts", "schedule": 900.0}},
)


@setup_logging.connect
def _configure(**_) -> None:
    log.configure()
