import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("WEIN_SECRET_KEY", "for-development-only")
INSTALLED_APPS = ["versand"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("WEIN_DATABASE", BASE_DIR / "weinhandel.sqlite3"),
        # Writers queue up instead of failing when they turn from reading to writing.
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE",
                    "init_command": "PRAGMA journal_mode=WAL;"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Europe/Vienna"

BROKER = os.environ.get("WEIN_BROKER", "redis")  # or: stub
REDIS_URL = os.environ.get("WEIN_REDIS_URL", "redis://localhost:6379/0")

LABEL_URL = os.environ.get("WEIN_LABEL_URL", "http://localhost:8099/v1")
LABEL_TOKEN = os.environ.get("WEIN_LABEL_TOKEN", "")
BUCKET = os.environ.get("WEIN_BUCKET", "weinhandel-labels")
S3_ENDPOINT = os.environ.get("WEIN_S3_ENDPOINT") or None

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "loggers": {"versand": {"handlers": ["console"], "level": "INFO"}},
}
