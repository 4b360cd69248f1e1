"""The Celery app and its settings."""

from celery import Celery

app = Celery("shop", include=["shop.tasks"])
app.conf.update(
    broker_url="redis://localhost/0",
    broker_transport_options={"visibility_timeout": 3600},
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_retry_on_worker_lost=True,
    task_ignore_result=True,
)
