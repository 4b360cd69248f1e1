from celery import Celery

from .settings import settings

app = Celery("fitness", broker=settings.broker_url, include=["fitness.tasks"])
app.conf.update(
    task_default_queue="points",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_soft_time_limit=40,  # < lease
    task_time_limit=50,
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": 3600},
    beat_schedule={"sweep": {"task": "fitness.sweep", "schedule": 20 * 60}},
)
