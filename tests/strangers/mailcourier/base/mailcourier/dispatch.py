"""How deliveries get into the queue: always after the commit that made them."""

import logging
import sqlite3

from . import deliveries
from .db import transaction
from .tasks import deliver_copy

log = logging.getLogger("mailcourier.dispatch")


def request_copy(issue_id, subscriber_id):
    """A reader asks for one issue on the archive's page."""
    with transaction() as con:
        con.execute("insert or ignore into deliveries (issue_id, subscriber_id) values (?, ?)", (issue_id, subscriber_id))
    _publish(issue_id, subscriber_id)


def dispatch_due():
    """Every five minutes: lay out what has become due and hand the next batch to the queue."""
    deliveries.lay_out()
    for row in deliveries.pending():
        _publish(*row)


def rescue_lost():
    """Every fifteen minutes: what was handed over and never came back, with its worker or without."""
    for row in deliveries.lost():
        log.warning("delivery stood still, queued again", extra={"job": "deliver-copy", **dict(row)})
        _publish(*row)


def _publish(issue_id, subscriber_id):
    try:
        deliver_copy(issue_id=issue_id, subscriber_id=subscriber_id)
    except sqlite3.OperationalError as error:
        about = {"job": "deliver-copy", "issue_id": issue_id, "subscriber_id": subscriber_id}
        log.error("delivery not queued, comes with the next batch: %r", error, extra=about)
        return
    deliveries.queued(issue_id, subscriber_id)
