import time

from huey import crontab
from loguru import logger

from .confirmations import GRACE
from .db import transaction
from .jobs import confirm_ad, huey


def rescue_stuck():
    """Queue again what is open and overdue: its task died with a worker, or was never queued."""
    now = time.time()
    with transaction() as conn:
        stuck = conn.execute(
            "update confirmations set due_at = ? where state = 'open' and due_at < ? returning ref",
            (now + GRACE, now),
        ).fetchall()
    for (ref,) in stuck:
        logger.bind(ref=ref).warning("stood still, queued again")
        confirm_ad(ref=ref)


@huey.periodic_task(crontab(minute="*/5"))
def rescue():
    rescue_stuck()
