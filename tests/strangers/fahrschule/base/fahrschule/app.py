"""The Flask application and the Celery application of the same process."""
import os

from celery import Celery, Task
from celery.schedules import crontab
from flask import Flask

from fahrschule import logs
from fahrschule.models import db


def create_app() -> Flask:
    app = Flask("fahrschule")
    app.config.from_mapping(
        SQLALCHEMY_DATABASE_URI=os.environ.get("FAHRSCHULE_DATABASE", "sqlite:////var/lib/fahrschule/school.db"),
        KARTENPAY_URL=os.environ.get("KARTENPAY_URL", "https://api.kartenpay.example/v1"),
        KARTENPAY_KEY=os.environ.get("KARTENPAY_KEY", ""),
        CELERY=dict(
            broker_url=os.environ.get("FAHRSCHULE_BROKER", "redis://localhost:6379/3"),
            broker_connection_retry_on_startup=True,
            task_ignore_result=True,
            task_acks_late=True,
            task_reject_on_worker_lost=True,
            worker_prefetch_multiplier=1,
            imports=["fahrschule.tasks"],
            timezone="Europe/Berlin",
            beat_schedule={
                "publish-requested": {"task": "fahrschule.publish_requested", "schedule": 60.0},
                "sweep-purchases": {"task": "fahrschule.sweep_purchases", "schedule": crontab(minute="*/10")},
            },
        ),
    )
    db.init_app(app)
    return app


def create_celery(app: Flask) -> Celery:
    class ContextTask(Task):
        def __call__(self, *args, **kwargs):
            with app.app_context():
                return self.run(*args, **kwargs)

    celery = Celery(app.name, task_cls=ContextTask)
    celery.config_from_object(app.config["CELERY"])
    celery.set_default()
    return celery


logs.configure()
app = create_app()
celery = create_celery(app)

from fahrschule import cli, signals  # noqa: E402,F401

app.cli.add_command(cli.init_db)
app.cli.add_command(cli.reopen)
