import os
from datetime import timedelta

QUEUE = "topups"
WAITS = [30, 120, 480, 1800]
MAX_ATTEMPTS = 1 + len(WAITS)
JOB_TIMEOUT = 90

# The provider forgets a key after 24 hours.
KEY_IS_GOOD_FOR = timedelta(hours=20)

# An order that nothing has happened to for so long is not waiting for its next attempt.
STALE = timedelta(minutes=45)


def database_url():
    return os.environ.get("ADX_DATABASE_URL", "sqlite:///adexchange.sqlite")


def redis_url():
    return os.environ.get("ADX_REDIS_URL", "redis://localhost:6379/0")


def provider_url():
    return os.environ.get("ADX_PROVIDER_URL", "http://localhost:8070")


def provider_token():
    return os.environ.get("ADX_PROVIDER_TOKEN", "")
