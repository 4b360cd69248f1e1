import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("GEMEINDE_SECRET_KEY", "nur-fuer-die-entwicklung")
ALLOWED_HOSTS = os.environ.get("GEMEINDE_HOSTS", "localhost").split(",")

INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django_q", "gebuehren"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("GEMEINDE_DB", BASE_DIR / "gemeinde.sqlite3"),
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"

EMAIL_HOST = os.environ.get("GEMEINDE_SMTP_HOST", "localhost")
EMAIL_TIMEOUT = 15
DEFAULT_FROM_EMAIL = "Stadtkasse <stadtkasse@gemeinde.example>"

EPOST_URL = os.environ.get("GEMEINDE_EPOST_URL", "http://localhost:8070")
EPOST_TOKEN = os.environ.get("GEMEINDE_EPOST_TOKEN", "")

Q_CLUSTER = {
    "name": "gemeinde",
    "orm": "default",
    "workers": 2,
    "bulk": 1,
    "timeout": 60,
    "retry": 120,
    "ack_failures": False,
    "max_attempts": 5,
    "catch_up": False,
}
SPERRE_SEKUNDEN = 90
LIEGENGEBLIEBEN_MINUTEN = 15

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"zeile": {"format": "time=%(asctime)s level=%(levelname)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "zeile"}},
    "loggers": {"gebuehren": {"handlers": ["stderr"], "level": "INFO"}},
}
