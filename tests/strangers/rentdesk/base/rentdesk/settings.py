import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("RENTDESK_SECRET_KEY", "only-for-development")
DEBUG = os.environ.get("RENTDESK_DEBUG") == "1"
ALLOWED_HOSTS = os.environ.get("RENTDESK_HOSTS", "localhost").split(",")
ROOT_URLCONF = "rentdesk.urls"
INSTALLED_APPS = ["rents.apps.RentsConfig"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
USE_TZ = True
TIME_ZONE = "Europe/Zurich"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("RENTDESK_DB", str(BASE_DIR / "rentdesk.sqlite3")),
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

RQ_REDIS_URL = os.environ.get("RENTDESK_REDIS_URL", "redis://localhost:6379/0")
RENT_QUEUE = "rents"

DEBIT_URL = os.environ.get("RENTDESK_DEBIT_URL", "https://api.sammelwerk.example")
DEBIT_TOKEN = os.environ.get("RENTDESK_DEBIT_TOKEN", "")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"fields": {"()": "rentdesk.logs.FieldsFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "fields"}},
    "loggers": {
        "rents": {"handlers": ["stderr"], "level": "INFO", "propagate": True},
        "rq": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}
