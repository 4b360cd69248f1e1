"""The Celery app: `celery -A kassa.celery_app worker` and `celery -A kassa.celery_app beat`."""

from __future__ import annotations

from celery import Celery

from kassa.settings import get_settings

SWEEP_EVERY_SECONDS = 300

app = Celery("kassa", include=["kassa.tasks"])
app.conf.update(
    broker_url=get_settings().broker_url,
    # Far longer than the longest wait of a retry (4 minutes): Redis would hand out waiting messages twice otherwise.
    broker_transport_options={"visibility_timeout": 3600},
    broker_connection_retry_on_startup=True,
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_time_limit=45,  # shorter than the lease of a payment
    worker_prefetch_multiplier=1,
    beat_schedule={
        "sweep-stuck-captures": {"task": "kassa.sweep_stuck_captures", "schedule": SWEEP_EVERY_SECONDS},
    },
)
