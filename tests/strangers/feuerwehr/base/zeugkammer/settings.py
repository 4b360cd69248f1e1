"""Settings of the equipment shop. Everything that differs per machine is in the environment."""
import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("ZK_SECRET_KEY", "only-for-development")
DEBUG = False
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["bestellung"]

if os.environ.get("ZK_PG_HOST"):
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": os.environ["ZK_PG_HOST"],
            "PORT": os.environ.get("ZK_PG_PORT", "5432"),
            "NAME": os.environ.get("ZK_PG_NAME", "zeugkammer"),
            "USER": os.environ.get("ZK_PG_USER", "zeugkammer"),
            "PASSWORD": os.environ.get("ZK_PG_PASSWORD", ""),
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": {"connect_timeout": 5},
        }
    }
else:
    # A laptop and the tests. SQLite has no row locks, so a transaction takes the whole file.
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ.get("ZK_SQLITE", str(BASE_DIR / "zeugkammer.sqlite3")),
            "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
        }
    }

CELERY_BROKER_URL = os.environ.get("ZK_BROKER", "amqp://localhost//")
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True} if CELERY_BROKER_URL.startswith("amqp") else {}
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 2, "interval_start": 0.2, "interval_step": 0.5}
CELERY_TASK_DEFAULT_QUEUE = "haus"
CELERY_TASK_ROUTES = {
    "bestellung.book_delivery": {"queue": "spedition"},
    "bestellung.relay_outbox": {"queue": "haus"},
}
CELERY_BEAT_SCHEDULE = {
    # A relay that beat could not place in time is not worth keeping: the next one does the same.
    "relay-outbox": {"task": "bestellung.relay_outbox", "schedule": 15.0, "options": {"expires": 14}},
}

SPEDITION_URL = os.environ.get("ZK_SPEDITION_URL", "https://api.spedition-huber.example")
SPEDITION_TOKEN = os.environ.get("ZK_SPEDITION_TOKEN", "")

BOOKING_MAX_ATTEMPTS = 5
BOOKING_BACKOFF_SECONDS = 20  # 20, 40, 80, 160
# Longer than the hard time limit of the task (75 s): whoever held the lease is dead when it ends.
BOOKING_LEASE_SECONDS = float(os.environ.get("ZK_LEASE_SECONDS", "90"))
# A message that nobody has begun by then is taken for lost and published again.
OUTBOX_REPUBLISH_SECONDS = float(os.environ.get("ZK_REPUBLISH_SECONDS", "600"))

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"bestellung": {"handlers": ["stderr"], "level": "INFO"}},
}
