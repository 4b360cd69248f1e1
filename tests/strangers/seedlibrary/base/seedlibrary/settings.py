import os
from pathlib import Path

from celery.schedules import crontab

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("SEEDLIBRARY_SECRET_KEY", "dev-only")
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["billing"]
USE_TZ = True
TIME_ZONE = "Europe/Zurich"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SEEDLIBRARY_DB", BASE_DIR / "seedlibrary.sqlite3"),
        "OPTIONS": {"timeout": 10, "transaction_mode": "IMMEDIATE"},
    }
}

EMAIL_HOST = os.environ.get("SEEDLIBRARY_SMTP_HOST", "localhost")
EMAIL_PORT = int(os.environ.get("SEEDLIBRARY_SMTP_PORT", "25"))
EMAIL_TIMEOUT = 30
DEFAULT_FROM_EMAIL = "Seed library <invoices@seedlibrary.example>"

CELERY_BROKER_URL = os.environ.get("SEEDLIBRARY_BROKER_URL", "redis://localhost:6379/0")
CELERY_TIMEZONE = TIME_ZONE
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BEAT_SCHEDULE = {
    "close-month": {
        "task": "billing.tasks.close_last_month",
        "schedule": crontab(day_of_month="1", hour="6", minute="0"),
    },
    "publish-unsent": {"task": "billing.tasks.publish_unsent", "schedule": crontab()},
    "requeue-stalled": {"task": "billing.tasks.requeue_stalled", "schedule": crontab(minute="30")},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "loggers": {
        "billing": {"level": "INFO"},
        "celery": {"level": "INFO"},
    },
    "root": {"handlers": ["console"], "level": "WARNING"},
}
