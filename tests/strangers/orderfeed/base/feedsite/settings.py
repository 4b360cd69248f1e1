"""Django settings. What differs between machines comes from the environment."""

from __future__ import annotations

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("FEED_SECRET_KEY", "for-development-only")
DEBUG = False
ALLOWED_HOSTS: list[str] = []
USE_TZ = True
TIME_ZONE = "Europe/Vienna"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["handover.apps.HandoverConfig"]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("FEED_DB", BASE_DIR / "feed.sqlite3"),
        # Two pollers may write at once: a transaction asks for the lock when it begins, and waits for it.
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}

PARTNER_URL = os.environ.get("FEED_PARTNER_URL", "https://api.logihub.example")
PARTNER_TOKEN = os.environ.get("FEED_PARTNER_TOKEN", "")
POLL_SECONDS = int(os.environ.get("FEED_POLL_SECONDS", "300"))

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"handover": {"handlers": ["console"], "level": "INFO"}},
}
