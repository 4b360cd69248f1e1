import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("CHOIR_SECRET_KEY", "only-for-development")
DEBUG = os.environ.get("CHOIR_DEBUG") == "1"
ALLOWED_HOSTS = os.environ.get("CHOIR_HOSTS", "localhost").split(",")

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django_q",
    "invoices",
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("CHOIR_DB", BASE_DIR / "choir.sqlite3"),
        # A transaction that reads and then writes takes the write lock at its start.
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "Europe/Zurich"
ROOT_URLCONF = "choirsite.urls"

EMAIL_BACKEND = os.environ.get("CHOIR_EMAIL_BACKEND", "django.core.mail.backends.smtp.EmailBackend")
EMAIL_HOST = os.environ.get("CHOIR_SMTP_HOST", "localhost")
EMAIL_HOST_USER = os.environ.get("CHOIR_SMTP_USER", "")
EMAIL_HOST_PASSWORD = os.environ.get("CHOIR_SMTP_PASSWORD", "")
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = "Kantorei <kasse@kantorei.example>"

# retry > lease > timeout: when a message comes again, whoever had it before is gone.
Q_CLUSTER = {
    "name": "choir",
    "orm": "default",
    "workers": 2,
    "timeout": 60,
    "retry": 120,
    "ack_failures": False,
    "max_attempts": 25,  # a backstop for code that cannot be loaded; invoices counts its own
    "catch_up": False,
    "bulk": 1,
}

INVOICE_MAX_ATTEMPTS = 5
INVOICE_LEASE_SECONDS = float(os.environ.get("CHOIR_LEASE_SECONDS", "90"))
INVOICE_STUCK_MINUTES = 10
MEMBERSHIP_FEE_CENTS = 18000

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"invoices": {"handlers": ["stderr"], "level": "INFO"}},
}
