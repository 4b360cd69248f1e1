"""The Celery app."""

from celery import Celery

app = Celery("billing", broker="amqp://localhost//", include=["billing.tasks"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_soft_time_limit=60,
    task_time_limit=90,
    result_backend="redis://localhost/1",
)
