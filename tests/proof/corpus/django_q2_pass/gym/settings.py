"""Settings; development runs jobs where they are queued."""

import os

SECRET_KEY = "for-this-example-alone"
INSTALLED_APPS = ["django_q", "passes"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("GYM_DB", "gym.db"),
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
    }
}
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
Q_CLUSTER = {
    "name": "gym",
    "orm": "default",
    "workers": 2,
    "timeout": 60,
    "retry": 90,
    "max_attempts": 4,
    "sync": os.environ.get("GYM_SYNC", "1") == "1",
}
