import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "nur-fuer-die-entwicklung")
DEBUG = False
ALLOWED_HOSTS = ["meldung.intern"]
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = ["django_tasks", "django_tasks_db", "meldungen"]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("MELDUNG_DB", BASE_DIR / "meldung.sqlite3"),
        # IMMEDIATE: wer liest, um danach zu schreiben, hat die Sperre von Anfang an.
        "OPTIONS": {"timeout": 30, "transaction_mode": "IMMEDIATE"},
    }
}

TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

REGISTER_URL = os.environ.get("REGISTER_URL", "https://register.example/api")
REGISTER_TOKEN = os.environ.get("REGISTER_TOKEN", "")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"zeile": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "handlers": {"konsole": {"class": "logging.StreamHandler", "formatter": "zeile"}},
    "loggers": {
        "meldungen": {"handlers": ["konsole"], "level": "INFO"},
        "django_tasks": {"handlers": ["konsole"], "level": "INFO"},
    },
}
