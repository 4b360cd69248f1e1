import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("LAB_SECRET_KEY", "development-only")
DEBUG = os.environ.get("LAB_DEBUG") == "1"
ALLOWED_HOSTS = os.environ.get("LAB_HOSTS", "localhost").split(",")
INSTALLED_APPS = ["lab"]
USE_TZ = True
TIME_ZONE = "Europe/Vienna"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

if os.environ.get("LAB_DB_HOST"):
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": os.environ["LAB_DB_HOST"],
            "PORT": os.environ.get("LAB_DB_PORT", "5432"),
            "NAME": os.environ.get("LAB_DB_NAME", "lab"),
            "USER": os.environ.get("LAB_DB_USER", "lab"),
            "PASSWORD": os.environ.get("LAB_DB_PASSWORD", ""),
        }
    }
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ.get("LAB_SQLITE", BASE_DIR / "lab.sqlite3"),
            "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
        }
    }

REGISTRY_URL = os.environ.get("REGISTRY_URL", "https://registry.example/api/v2")
REGISTRY_TOKEN = os.environ.get("REGISTRY_TOKEN", "")

CELERY_BROKER_URL = os.environ.get("LAB_BROKER", "redis://localhost:6379/0")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Must be longer than the longest countdown of a retry (600 s).
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 900}
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ROUTES = {"lab.tasks.transmit_result": {"queue": "registry"}}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"},
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line"},
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {"lab": {"level": os.environ.get("LAB_LOGLEVEL", "INFO")}},
}
