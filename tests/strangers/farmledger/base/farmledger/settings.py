import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("FARMLEDGER_SECRET_KEY", "not-for-production")
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["payouts"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Europe/Zurich"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("FARMLEDGER_DB", BASE_DIR / "ledger.sqlite3"),
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}

FARMBANK_URL = os.environ.get("FARMBANK_URL", "https://api.farmbank.example")
FARMBANK_TOKEN = os.environ.get("FARMBANK_TOKEN", "")

CELERY_BROKER_URL = os.environ.get("FARMLEDGER_BROKER", "redis://localhost:6379/0")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# longer than the longest wait between two attempts
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 1800}
CELERY_BEAT_SCHEDULE = {
    "requeue-payouts": {"task": "payouts.requeue", "schedule": 30 * 60},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "task": {
            "()": "celery.app.log.TaskFormatter",
            "fmt": "%(asctime)s %(levelname)s %(task_name)s[%(task_id)s] %(name)s: %(message)s",
            "use_color": False,
        },
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "task"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {"urllib3": {"level": "WARNING"}},
}
