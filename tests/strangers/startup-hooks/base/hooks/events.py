import json
import sqlite3

from . import settings
from .db import tx
from .jobs import deliver


def emit(event_id, kind, body):
    """Called by the shop. The rows are committed first; a crash after that is for publish_pending."""
    with tx() as db:
        db.execute("insert or ignore into events values (?, ?, ?)", (event_id, kind, json.dumps(body)))
        names = [r["name"] for r in db.execute("select name from partners where active")]
        db.executemany("insert or ignore into deliveries (event_id, partner) values (?, ?)", [(event_id, n) for n in names])
    for name in names:
        deliver(event_id=event_id, partner=name)


def resend(event_id, partner):
    """The button in the back office, also for dead ones."""
    with tx() as db:
        db.execute(
            "update deliveries set status = 'pending' where event_id = ? and partner = ? and status = 'dead'",
            (event_id, partner),
        )
    deliver(event_id=event_id, partner=partner)


def publish_pending():
    db = sqlite3.connect(settings.DB, timeout=20)
    rows = db.execute("select event_id, partner from deliveries where status = 'pending'").fetchall()
    db.close()
    for event_id, partner in rows:
        deliver(event_id=event_id, partner=partner)
