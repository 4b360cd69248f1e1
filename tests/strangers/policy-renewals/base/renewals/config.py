"""Settings, from the environment, and the rules of trying again."""

import os

POLL_SECONDS = 60
BATCH = 100

MAX_ATTEMPTS = 6
FIRST_WAIT = 60
WAIT_FACTOR = 5
LONGEST_WAIT = 2 * 3600

# Longer than one call can take (see insurer.TIMEOUT). Whoever still holds a row after that has died.
LEASE = 300

# The carrier's manual: "an Idempotency-Key is honoured for 72 hours". We stop two hours before.
KEY_LIFETIME = 70 * 3600


def database_url() -> str:
    return "sqlite:///" + os.environ.get("RENEWALS_DB", "renewals.db")


def insurer_url() -> str:
    return os.environ.get("INSURER_URL", "https://partner.carrier.example/v2")


def insurer_token() -> str:
    return os.environ.get("INSURER_TOKEN", "")


def wait_after(attempt: int) -> int:
    """Seconds between the failure of this attempt (1, 2, ...) and the next one."""
    return min(LONGEST_WAIT, FIRST_WAIT * WAIT_FACTOR ** (attempt - 1))
