import os
from datetime import timedelta
from pathlib import Path

import structlog

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("LEIHRAD_SECRET_KEY", "development only")
DEBUG = os.environ.get("LEIHRAD_DEBUG") == "1"
ALLOWED_HOSTS = os.environ.get("LEIHRAD_HOSTS", "localhost").split(",")

INSTALLED_APPS = ["rentals"]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("LEIHRAD_DB", BASE_DIR / "leihrad.sqlite3"),
        "OPTIONS": {"timeout": 20},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"

PAYMENTS_URL = os.environ.get("LEIHRAD_PAYMENTS_URL", "http://localhost:8070/v1")
PAYMENTS_TOKEN = os.environ.get("LEIHRAD_PAYMENTS_TOKEN", "")
PAYMENTS_TIMEOUT = (5, 20)

CHARGE_ATTEMPTS = 5
# A little less than the hour between two runs of the crontab, far more than one charge can take.
CHARGE_AGAIN_AFTER = timedelta(minutes=55)
# The payment house knows a key for 72 hours.
CHARGE_KEY_TRUSTED_FOR = timedelta(hours=48)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(message)s"}},
    "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "plain"}},
    "root": {"handlers": ["stdout"], "level": "INFO"},
    "loggers": {"urllib3": {"level": "WARNING"}},
}

structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(sort_keys=True),
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
)
