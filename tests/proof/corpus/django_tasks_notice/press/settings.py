"""Settings; development runs tasks where they are called."""

import os

SECRET_KEY = "for-this-example-alone"
INSTALLED_APPS = ["django_tasks", "django_tasks_db", "magazine"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("PRESS_DB", "press.db"),
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
    }
}
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TASKS = {"default": {"BACKEND": os.environ.get("PRESS_TASKS", "django_tasks_db.DatabaseBackend")}}
