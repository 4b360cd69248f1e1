import os
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("NOTARIAT_SECRET", "not-for-production")
DEBUG = False
USE_TZ = True
TIME_ZONE = "Europe/Zurich"
INSTALLED_APPS = ["deeds.apps.DeedsConfig"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("NOTARIAT_DATABASE", str(ROOT / "notariat.sqlite3")),
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}

EMAIL_BACKEND = os.environ.get("NOTARIAT_MAIL", "django.core.mail.backends.smtp.EmailBackend")
EMAIL_HOST = os.environ.get("NOTARIAT_SMTP", "localhost")
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = "Notariat am Markt <kanzlei@notariat.example>"

REGISTER_URL = os.environ.get("NOTARIAT_REGISTER_URL", "https://register.canton.example/api/v2")
REGISTER_TOKEN = os.environ.get("NOTARIAT_REGISTER_TOKEN", "")

CELERY_BROKER_URL = os.environ.get("NOTARIAT_REDIS", "redis://localhost:6379/2")
# Longer than the longest countdown plus the longest run, or Redis hands a waiting message out again.
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TIME_LIMIT = 150
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULE = {
    "resend-stuck-filings": {"task": "deeds.tasks.sweep_filings", "schedule": timedelta(minutes=30)},
}

FILING_TRIES = 5
FILING_FIRST_WAIT = 60  # seconds; doubled each time
FILING_LONGEST_WAIT = 600
FILING_MAX_STARTS = 10
FILING_PATIENCE = timedelta(minutes=20)
FILING_DEADLINE = timedelta(days=25)  # the register forgets a submission id after 30 days

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "notariat.jsonlog.JsonLines"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "loggers": {
        "deeds": {"handlers": ["stderr"], "level": "INFO"},
        "celery": {"handlers": ["stderr"], "level": "WARNING"},
    },
}
