"""The Celery application."""

from celery import Celery

from treasury import settings

app = Celery("treasury", include=["treasury.tasks"])
app.conf.update(
    broker_url=settings.load().broker_url,
    # The relay may mark a message as published only after the broker has confirmed it.
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_default_queue="treasury",
    worker_prefetch_multiplier=1,
    timezone="UTC",
    beat_schedule={
        # They expire before the next one, so that they do not pile up while no worker is there.
        "relay-outbox": {"task": "treasury.relay_outbox", "schedule": 30.0, "options": {"expires": 25}},
        "redispatch-stalled": {"task": "treasury.redispatch_stalled", "schedule": 900.0, "options": {"expires": 600}},
    },
)
