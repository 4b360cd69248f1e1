"""The life of a delivery, one function for each step, each in one transaction."""

import json
import time

from . import config
from .db import transaction

MAX_ATTEMPTS = 5
LEASE = 120      # longer than the slowest conversation with the relay
IN_QUEUE = 600   # how long a message may wait in the queue before it counts as lost
OPEN = "('pending', 'queued', 'sending')"


class NoSuchDelivery(Exception):
    pass


def claim(issue_id, subscriber_id):
    """Take the delivery for LEASE seconds. None: nothing to do, or somebody else is at it."""
    now = int(time.time())
    with transaction() as con:
        taken = con.execute(
            "update deliveries set status = 'sending', attempts = attempts + 1, due_at = ? "
            "where issue_id = ? and subscriber_id = ? "
            "and (status in ('pending', 'queued') or (status = 'sending' and due_at <= ?))",
            (now + LEASE, issue_id, subscriber_id, now),
        ).rowcount
        row = con.execute(
            "select d.status, d.attempts, i.subject, i.body, s.id, s.email, s.name, s.active "
            "from deliveries d join issues i on i.id = d.issue_id join subscribers s on s.id = d.subscriber_id "
            "where d.issue_id = ? and d.subscriber_id = ?",
            (issue_id, subscriber_id),
        ).fetchone()
    if row is None:
        raise NoSuchDelivery(f"issue {issue_id} for subscriber {subscriber_id}")
    return row if taken else None


def sent(issue_id, subscriber_id, message_id):
    with transaction() as con:
        con.execute(
            "update deliveries set status = 'sent', message_id = ?, sent_at = ? "
            "where issue_id = ? and subscriber_id = ? and status <> 'sent'",
            (message_id, int(time.time()), issue_id, subscriber_id),
        )


def skipped(issue_id, subscriber_id, attempt):
    with transaction() as con:
        con.execute(
            "update deliveries set status = 'skipped' "
            "where issue_id = ? and subscriber_id = ? and status = 'sending' and attempts = ?",
            (issue_id, subscriber_id, attempt),
        )


def put_back(issue_id, subscriber_id, attempt, wait):
    """The attempt failed and the queue will bring it again after so many seconds."""
    with transaction() as con:
        con.execute(
            "update deliveries set status = 'queued', due_at = ? "
            "where issue_id = ? and subscriber_id = ? and status = 'sending' and attempts = ?",
            (int(time.time()) + wait + 240, issue_id, subscriber_id, attempt),
        )


def give_up(issue_id, subscriber_id, attempt, reason):
    """Record the dead letter; False if the delivery is in other hands or has ended."""
    with transaction() as con:
        if not con.execute(
            "update deliveries set status = 'failed' "
            "where issue_id = ? and subscriber_id = ? and status = 'sending' and attempts = ?",
            (issue_id, subscriber_id, attempt),
        ).rowcount:
            return False
        message = json.dumps({"issue_id": issue_id, "subscriber_id": subscriber_id})
        con.execute(
            "insert into undeliverable (issue_id, subscriber_id, message, reason, failed_at) values (?, ?, ?, ?, ?)",
            (issue_id, subscriber_id, message, reason, int(time.time())),
        )
        return True


def refuse(task_id, message, reason):
    """Record a message of which no delivery is known."""
    with transaction() as con:
        con.execute(
            "insert or ignore into undeliverable (task_id, message, reason, failed_at) values (?, ?, ?, ?)",
            (task_id, json.dumps(message, default=str), reason, int(time.time())),
        )


def lay_out():
    """One pending delivery for each active reader of each issue that has become due."""
    now = int(time.time())
    with transaction() as con:
        con.execute(
            "insert or ignore into deliveries (issue_id, subscriber_id) "
            "select i.id, s.id from issues i, subscribers s "
            "where i.laid_out = 0 and i.send_at <= ? and s.active = 1",
            (now,),
        )
        con.execute("update issues set laid_out = 1 where laid_out = 0 and send_at <= ?", (now,))


def pending(limit=config.BATCH):
    with transaction() as con:
        return con.execute(
            "select issue_id, subscriber_id from deliveries where status = 'pending' order by 1, 2 limit ?", (limit,)
        ).fetchall()


def lost(limit=config.BATCH):
    with transaction() as con:
        return con.execute(
            "select issue_id, subscriber_id from deliveries "
            "where status in ('queued', 'sending') and due_at <= ? order by due_at limit ?",
            (int(time.time()), limit),
        ).fetchall()


def queued(issue_id, subscriber_id):
    """Its message is in the queue. What a worker is sending by now stays as it is."""
    now = int(time.time())
    with transaction() as con:
        con.execute(
            "update deliveries set status = 'queued', due_at = ? where issue_id = ? and subscriber_id = ? "
            "and (status = 'pending' or (status = 'queued' and due_at <= ?))",
            (now + IN_QUEUE, issue_id, subscriber_id, now),
        )
