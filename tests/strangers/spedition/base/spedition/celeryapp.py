from celery import Celery
from celery.signals import setup_logging

from spedition import config, log

app = Celery("spedition", broker=config.broker_url(), include=["spedition.tasks"])
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_time_limit=240,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 600},
    beat_schedule={
        "relay-outbox": {
            "task": "spedition.relay_outbox",
            "schedule": 30.0,
            "options": {"expires": 120},
        },
    },
)


@setup_logging.connect
def _logging(**_):
    log.configure()
