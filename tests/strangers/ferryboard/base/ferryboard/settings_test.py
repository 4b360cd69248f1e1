import tempfile
from pathlib import Path

from ferryboard.settings import *  # noqa: F403

# A file and not :memory:, the worker of the tests has threads.
_FILE = Path(tempfile.mkdtemp(prefix="ferryboard-")) / "test.db"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": _FILE,
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
        "TEST": {"NAME": _FILE},
    }
}
REDIS_URL = None  # the stub broker
