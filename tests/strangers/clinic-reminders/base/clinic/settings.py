import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
SECRET_KEY = os.environ.get("SECRET_KEY", "dev")
USE_TZ = True
TIME_ZONE = "Europe/Zurich"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["huey.contrib.djhuey", "reminders"]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("CLINIC_DB", BASE_DIR / "clinic.sqlite3"),
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}

HUEY = {
    "name": "clinic",
    "huey_class": "huey.SqliteHuey",
    "filename": os.environ.get("CLINIC_QUEUE", str(BASE_DIR / "queue.sqlite3")),
    "results": False,
    "immediate": False,
}

REMINDER_ATTEMPTS = 5
REMINDER_RETRY_SECONDS = 30
REMINDER_LEASE_SECONDS = float(os.environ.get("CLINIC_LEASE_SECONDS", "60"))

SMS_URL = os.environ.get("SMS_URL", "https://sms.example/v1/messages")
MAIL_URL = os.environ.get("MAIL_URL", "https://mail.example/send")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"reminders": {"handlers": ["console"], "level": "INFO"}},
}
