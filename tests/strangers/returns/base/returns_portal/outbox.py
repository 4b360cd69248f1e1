"""Hands stored messages to the broker. `python -m returns_portal.outbox` does it for ever, every 30 seconds."""

from __future__ import annotations

import logging
import time

from sqlalchemy import delete, select

from returns_portal.actors import send_return_label
from returns_portal.db import transaction
from returns_portal.models import OutboxEntry

log = logging.getLogger("returns_portal.outbox")

INTERVAL_SECONDS = 30


def publish_pending() -> int:
    """Sends what is waiting, oldest first. An entry goes after its message has been sent: rather twice than never."""
    with transaction() as session:
        entries = session.scalars(select(OutboxEntry).order_by(OutboxEntry.id).limit(200)).all()
    for entry in entries:
        send_return_label.send({"return_id": entry.return_id})
        with transaction() as session:
            session.execute(delete(OutboxEntry).where(OutboxEntry.id == entry.id))
    return len(entries)


def run_forever() -> None:
    while True:
        try:
            publish_pending()
        except Exception:
            log.exception("the outbox could not be published, trying again in %s seconds", INTERVAL_SECONDS)
        time.sleep(INTERVAL_SECONDS)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    run_forever()
