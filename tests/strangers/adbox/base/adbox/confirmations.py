"""Table confirmations: how far each has come."""

import json
import time

from .db import transaction
from .verdict import may_pass

MAX_TRIES = 4
MAX_CRASHES = 3
GRACE = 120  # seconds within which an attempt has ended, or its worker is dead


class NoSuchAd(Exception):
    pass


class NotAccepted(Exception):
    pass


class TriesUsedUp(Exception):
    pass


class KeepsCrashing(Exception):
    pass


def backoff(tries):
    return 30 * 2 ** (tries - 1)


def open_for(conn, ref):
    conn.execute(
        "insert into confirmations (ref, due_at) values (?, ?) on conflict do nothing",
        (ref, time.time() + GRACE),
    )
    return conn.execute("select * from confirmations where ref = ?", (ref,)).fetchone()


def begin(ref):
    """The ad and how far its confirmation is; None where nothing is left to do."""
    with transaction() as conn:
        ad = conn.execute("select * from ads where ref = ?", (ref,)).fetchone()
        if ad is None:
            raise NoSuchAd(ref)
        if ad["status"] != "accepted":
            raise NotAccepted(f"{ref} is {ad['status']}")
        row = open_for(conn, ref)
        if row["state"] != "open":
            return None
        if row["tries"] >= MAX_TRIES:
            raise TriesUsedUp(f"{row['tries']} attempts failed")
        if row["crashes"] >= MAX_CRASHES:
            raise KeepsCrashing(f"{row['crashes']} attempts in a row never ended")
        conn.execute(
            "update confirmations set crashes = crashes + 1, due_at = ? where ref = ?",
            (time.time() + GRACE, ref),
        )
    return {**dict(ad), **dict(row)}


def mailed(ref):
    with transaction() as conn:
        conn.execute("update confirmations set mailed = 1 where ref = ?", (ref,))


def done(ref):
    with transaction() as conn:
        return conn.execute(
            "update confirmations set pushed = 1, state = 'done', crashes = 0"
            " where ref = ? and state = 'open'", (ref,),
        ).rowcount == 1


def failed(ref, exc):
    """Seconds until the next attempt; None where there will be none."""
    with transaction() as conn:
        row = conn.execute("select * from confirmations where ref = ?", (ref,)).fetchone()
        if row is None or not may_pass(exc):
            return None
        tries = row["tries"] + 1
        delay = backoff(tries) if tries < MAX_TRIES else 0
        conn.execute(
            "update confirmations set tries = ?, crashes = 0, due_at = ? where ref = ?",
            (tries, time.time() + delay + GRACE, ref),
        )
    return delay or None


def bury(ref, task_id, message, exc):
    """Give up, with a record."""
    with transaction() as conn:
        if ref is not None:
            conn.execute(
                "update confirmations set state = 'dead' where ref = ? and state = 'open'", (ref,)
            )
        conn.execute(
            "insert into graveyard (task_id, ref, message, reason) values (?, ?, ?, ?)"
            " on conflict do nothing",
            (task_id, ref, json.dumps(message, default=repr), f"{type(exc).__name__}: {exc}"),
        )
