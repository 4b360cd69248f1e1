from celery import Celery

from petvault import logs, settings  # noqa: F401  (logs connects itself to Celery)

app = Celery(
    "petvault",
    broker=settings.BROKER_URL,
    include=["petvault.tasks", "petvault.dispatch"],
)
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    # longer than the longest countdown of a retry, or Redis would hand it out twice
    broker_transport_options={"visibility_timeout": 3600},
    timezone="UTC",
    beat_schedule={
        "requeue-open": {"task": "petvault.requeue_open", "schedule": 15 * 60},
    },
)
