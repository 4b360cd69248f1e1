import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("SCHOOL_SECRET_KEY", "only-for-development")
DEBUG = False
USE_TZ = True
TIME_ZONE = "Europe/Vienna"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = ["ops", "absences", "billing"]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SCHOOL_DB", str(BASE_DIR / "school.sqlite3")),
        # IMMEDIATE: atomic() takes the write lock at once, a second writer waits.
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
    }
}

CELERY_BROKER_URL = os.environ.get("SCHOOL_BROKER", "redis://127.0.0.1:6379/0")
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1

EMAIL_BACKEND = os.environ.get("SCHOOL_EMAIL_BACKEND", "django.core.mail.backends.smtp.EmailBackend")
EMAIL_HOST = os.environ.get("SCHOOL_SMTP_HOST", "localhost")
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = "Office <office@school.example>"

ACCOUNTS_URL = os.environ.get("SCHOOL_ACCOUNTS_URL", "https://accounts.town.example/soap/v2")
ACCOUNTS_TIMEOUT = 15
LOCK_DIR = os.environ.get("SCHOOL_LOCK_DIR", "/tmp")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
    "loggers": {
        "school": {"handlers": ["console"], "level": "INFO", "propagate": False},
    },
}
