import os
from datetime import timedelta
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = os.environ.get("OPTIKER_SECRET_KEY", "only-for-development")
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "optiker.urls"
INSTALLED_APPS = ["lenses"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("OPTIKER_DB", str(BASE_DIR / "optiker.sqlite3")),
        "OPTIONS": {"timeout": 15, "transaction_mode": "IMMEDIATE"},
    }
}

LAB_URL = os.environ.get("OPTIKER_LAB_URL", "https://api.glasslabor.example/v2")
LAB_TOKEN = os.environ.get("OPTIKER_LAB_TOKEN", "")
LAB_TIMEOUT = (3.05, 20)

LENS_ORDER_ATTEMPTS = 6
LENS_ORDER_FIRST_WAIT = 30
LENS_ORDER_LONGEST_WAIT = 240
LENS_ORDER_MAX_STARTS = 12
LENS_ORDER_GRACE = timedelta(minutes=10)  # longer than the longest wait and a slow call together
LENS_ORDER_DEADLINE = timedelta(days=2)  # the laboratory forgets an idempotency key after seven

CELERY_BROKER_URL = os.environ.get("OPTIKER_BROKER", "redis://localhost:6379/0")
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULE = {
    "requeue-stalled": {"task": "lenses.requeue_stalled", "schedule": timedelta(minutes=15)},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"fields": {"()": "optiker.logs.FieldsFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "fields"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {"lenses": {"level": "INFO"}, "celery": {"level": "INFO"}},
}
