"""What is tried again, and how often."""
from boxoffice.mailer import MailRefused
from boxoffice.paynest import RefundRefused

MAX_ATTEMPTS = 5
MIN_BACKOFF = 15_000  # ms; Dramatiq doubles it each time and adds up to as much again
MAX_BACKOFF = 300_000
TIME_LIMIT = 60_000
# Longer than the longest backoff and the time limit together.
STALE_AFTER = 480
# Paynest forgets a key after 24 hours.
KEY_SAFE_FOR = 20 * 3600


class BadMessage(Exception):
    """The message is not one of ours."""


class NoSuchOrder(Exception):
    """The message names an order that is not there."""


class Exhausted(Exception):
    """As many attempts as there may be have begun, and none of them came to an end."""


class KeyTooOld(Exception):
    """Paynest may have forgotten the key of the first attempt."""


# TypeError: the fields of the message are not the actor's.
PERMANENT = (BadMessage, NoSuchOrder, Exhausted, KeyTooOld, RefundRefused, MailRefused, TypeError)


def should_retry(retries: int, exception: BaseException) -> bool:
    """Dramatiq's retry_when; retries is 0 after the first attempt."""
    if isinstance(exception, PERMANENT):
        return False
    return retries + 1 < MAX_ATTEMPTS
