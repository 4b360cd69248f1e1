"""Settings of the ferryboard shop. Everything that differs per host is FERRY_*."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("FERRY_SECRET_KEY", "only-for-the-quay")
DEBUG = os.environ.get("FERRY_DEBUG") == "1"
ALLOWED_HOSTS = os.environ.get("FERRY_HOSTS", "localhost").split(",")

INSTALLED_APPS = ["django.contrib.contenttypes", "bookings"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "ferryboard.urls"
WSGI_APPLICATION = "ferryboard.wsgi.application"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ.get("FERRY_DB_HOST", "localhost"),
        "PORT": os.environ.get("FERRY_DB_PORT", "5432"),
        "USER": os.environ.get("FERRY_DB_USER", "ferryboard"),
        "PASSWORD": os.environ.get("FERRY_DB_PASSWORD", ""),
        "NAME": os.environ.get("FERRY_DB_NAME", "ferryboard"),
        "CONN_MAX_AGE": 60,
    }
}

# loguru does it: ferryboard/log.py
LOGGING_CONFIG = None

REDIS_URL = os.environ.get("FERRY_REDIS_URL", "redis://localhost:6379/0")

PAYMENTS_URL = os.environ.get("FERRY_PAYMENTS_URL", "https://api.quaypay.example")
PAYMENTS_TOKEN = os.environ.get("FERRY_PAYMENTS_TOKEN", "sandbox")
