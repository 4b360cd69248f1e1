"""What the desk's web pages call."""

from loguru import logger

from .confirmations import open_for
from .db import transaction
from .jobs import confirm_ad


def accept(ref):
    """Accept an ad and have it confirmed. A second click does no harm."""
    with transaction() as conn:
        known = conn.execute("update ads set status = 'accepted' where ref = ?", (ref,)).rowcount
        if not known:
            raise LookupError(ref)
        state = open_for(conn, ref)["state"]
    if state == "open":
        confirm_ad(ref=ref)
        logger.bind(ref=ref).info("accepted, confirmation queued")
