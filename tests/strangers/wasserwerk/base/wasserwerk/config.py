import os
from datetime import timedelta


def db_url() -> str:
    return os.environ.get("WASSERWERK_DB", "sqlite+aiosqlite:///wasserwerk.db")


def redis_url() -> str:
    return os.environ.get("WASSERWERK_REDIS", "redis://localhost:6379/0")


def gateway_url() -> str:
    return os.environ.get("GATEWAY_URL", "https://rechnung.kommunal.example/v1")


def gateway_token() -> str:
    return os.environ.get("GATEWAY_TOKEN", "")


MAX_ATTEMPTS = 6
FIRST_WAIT = 60
LONGEST_WAIT = 1800
STORE_WAIT = 20
STORE_TRIES = 25
JOB_TIMEOUT = 60
SILENT = timedelta(minutes=40)


def wait_after(attempt: int) -> int:
    """Seconds until the next try: 1, 3, 9, 27 and 30 minutes."""
    return min(FIRST_WAIT * 3 ** (attempt - 1), LONGEST_WAIT)
