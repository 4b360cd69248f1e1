"""What the customer's click calls."""

from __future__ import annotations

import logging

from returns_portal import outbox
from returns_portal.desk import ReturnsDesk

log = logging.getLogger("returns_portal.portal")


def request_label(return_id: int) -> None:
    """Stores the wish and tries to publish it at once. If that fails the outbox process does it later."""
    ReturnsDesk().request_label(return_id)
    try:
        outbox.publish_pending()
    except Exception:
        log.warning("return_id=%s stays in the outbox for now", return_id, exc_info=True)
