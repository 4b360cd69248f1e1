import os
from datetime import timedelta

SECRET_KEY = os.environ.get("BUCHCLUB_SECRET_KEY", "only-for-development")
DEBUG = False
USE_TZ = True
TIME_ZONE = "Europe/Vienna"
INSTALLED_APPS = ["parcels"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

if os.environ.get("BUCHCLUB_SQLITE"):
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["BUCHCLUB_SQLITE"],
            # SQLite has no row locks; a transaction takes the whole file from its start.
            "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
        }
    }
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ.get("BUCHCLUB_DB", "buchclub"),
            "HOST": os.environ.get("BUCHCLUB_DB_HOST", ""),
            "USER": os.environ.get("BUCHCLUB_DB_USER", "buchclub"),
            "PASSWORD": os.environ.get("BUCHCLUB_DB_PASSWORD", ""),
        }
    }

EMAIL_BACKEND = os.environ.get("BUCHCLUB_EMAIL_BACKEND", "django.core.mail.backends.smtp.EmailBackend")
EMAIL_HOST = os.environ.get("BUCHCLUB_SMTP", "localhost")
EMAIL_TIMEOUT = 15
DEFAULT_FROM_EMAIL = "Buchclub <post@buchclub.example>"

DISTRIBUTOR_URL = os.environ.get("BUCHCLUB_DISTRIBUTOR_URL", "https://api.barsortiment.example/v3")
DISTRIBUTOR_TOKEN = os.environ.get("BUCHCLUB_DISTRIBUTOR_TOKEN", "")

CELERY_BROKER_URL = os.environ.get("BUCHCLUB_BROKER", "redis://localhost:6379/0")
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TIME_LIMIT = 180
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BEAT_SCHEDULE = {"requeue-stalled": {"task": "parcels.tasks.requeue_stalled", "schedule": timedelta(minutes=15)}}

PARCEL_GRACE = timedelta(minutes=10)  # the retries of a task need half a minute
PARCEL_MAX_STARTS = 12
PARCEL_DEADLINE = timedelta(days=45)  # the distributor knows a reference for 60 days

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"parcels": {"handlers": ["console"], "level": "INFO"}},
}
