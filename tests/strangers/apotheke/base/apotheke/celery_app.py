import logging.config

from celery import Celery
from celery.signals import setup_logging, worker_process_init

from apotheke import config
from apotheke.log import LOGGING

app = Celery("apotheke", broker=config.BROKER_URL, include=["apotheke.tasks"])
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    task_default_queue="claims",
    task_time_limit=120,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 3600},
    timezone="Europe/Berlin",
    beat_schedule={"requeue-stalled": {"task": "apotheke.requeue_stalled", "schedule": 600.0}},
)


@setup_logging.connect
def _logging(**_):
    logging.config.dictConfig(LOGGING)


@worker_process_init.connect
def _own_connections(**_):
    from apotheke.db import engine

    engine().dispose(close=False)
