"""What the cluster runs."""

import hashlib
import json
import logging

from . import billing, inbox, post
from .errors import BadMessage, Hopeless, StillRunning, TryLater
from .joblog import say


def issue_invoice(message):
    """Give the member an invoice number for the season, and mail it. Raising leaves the message in the queue."""
    try:
        member_id, season = read(message)
    except BadMessage as exc:
        raw = json.dumps(message, sort_keys=True, default=repr)
        key = "unreadable:" + hashlib.sha256(raw.encode()).hexdigest()[:24]
        inbox.record_death(key, {"raw": raw[:500]}, str(exc), 0)
        say("dead", key, level=logging.ERROR, reason="bad-message")
        return

    key = inbox.key_for(member_id, season)
    try:
        claim = inbox.claim(member_id, season)
    except StillRunning:
        say("still-running", key, level=logging.WARNING)
        raise
    if not isinstance(claim, inbox.Claim):
        level = logging.ERROR if claim == "dead" else logging.INFO
        say(f"already-{claim}", key, level=level)
        return

    say("started", key, claim.attempt)
    try:
        invoice = billing.numbered_invoice(member_id, season)
        if invoice.mailed_at is None:
            post.send_invoice(invoice)
        billing.mailed(key, invoice)
    except Hopeless as exc:
        give_up(claim, exc)
    except Exception as exc:
        if claim.last:
            give_up(claim, exc)
            return
        inbox.let_go(claim)
        say("will-retry", key, claim.attempt, logging.WARNING, error=type(exc).__name__)
        if isinstance(exc, TryLater):
            raise
        raise TryLater(type(exc).__name__) from None
    else:
        say("mailed", key, claim.attempt, number=invoice.number)


def give_up(claim, exc):
    reason = f"{type(exc).__name__}: {exc}" if isinstance(exc, (Hopeless, TryLater)) else type(exc).__name__
    outcome = "dead" if inbox.bury(claim, reason) else "overtaken"
    say(outcome, claim.key, claim.attempt, logging.ERROR, error=type(exc).__name__)


def read(message):
    if not isinstance(message, dict) or set(message) != {"member_id", "season"}:
        raise BadMessage("expected member_id and season")
    for name, low, high in (("member_id", 1, 2**53), ("season", 2000, 2100)):
        value = message[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise BadMessage(f"{name} is out of range")
    return message["member_id"], message["season"]
