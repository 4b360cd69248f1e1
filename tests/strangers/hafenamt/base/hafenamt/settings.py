import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("HAFEN_SECRET_KEY", "not-for-the-server")
INSTALLED_APPS = ["berths"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("HAFEN_DB", BASE_DIR / "hafen.sqlite3"),
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"

EMAIL_HOST = os.environ.get("HAFEN_SMTP_HOST", "localhost")
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = "Hafenamt <liegegeld@hafenamt.example>"

ACCOUNTING_DIR = Path(os.environ.get("HAFEN_ACCOUNTING_DIR", BASE_DIR / "accounting"))
CENTS_PER_TON_AND_NIGHT = 11

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "loggers": {"berths": {"handlers": ["stderr"], "level": "INFO"}},
}
