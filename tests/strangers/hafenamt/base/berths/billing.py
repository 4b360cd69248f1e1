"""The job bill-berths: what `manage.py bill_berths` does."""

import logging
import time
import uuid
from collections import Counter

from django.conf import settings
from django.db import DatabaseError

from . import claims, filing, post

logger = logging.getLogger("berths.billing")


def bill_due():
    """Bill the stays that have ended. Returns how often what came out."""
    job_id = uuid.uuid4().hex[:12]
    outcomes = Counter()
    filing.clear_parts(settings.ACCOUNTING_DIR)
    for stay_id in claims.due_ids():
        try:
            outcome = _bill(stay_id, job_id)
        except Exception as error:
            # The lease ends and a later run goes on. The other stays need not wait for this one.
            outcome = "interrupted"
            logger.error("job_id=%s key=stay:%s outcome=interrupted error=%s", job_id, stay_id, type(error).__name__)
        outcomes[outcome] += 1
    return outcomes


def _bill(stay_id, job_id):
    stay = claims.claim(stay_id)
    if stay is None:
        if claims.park_exhausted(stay_id):
            logger.error("job_id=%s key=stay:%s attempt=%s outcome=parked", job_id, stay_id, claims.MAX_ATTEMPTS)
            return "parked"
        return "skipped"

    where = (job_id, stay.invoice_number, stay.attempts)
    logger.info("job_id=%s key=%s attempt=%s outcome=started", *where)
    try:
        outcome = _papers(stay)
    except DatabaseError:
        raise
    except Exception as error:
        return _failed(stay, error, where)
    logger.info("job_id=%s key=%s attempt=%s outcome=%s", *where, outcome)
    return outcome


def _papers(stay):
    if stay.filed_at is None:
        filing.put(settings.ACCOUNTING_DIR, stay.invoice_number, filing.invoice_xml(stay))
        _insist(claims.mark_filed, stay)
    if not claims.extend(stay):
        return "superseded"
    post.send_notice(stay)
    return "billed" if _insist(claims.mark_billed, stay) else "known"


def _failed(stay, error, where):
    reason = type(error).__name__
    if post.is_final(error) or stay.attempts >= claims.MAX_ATTEMPTS:
        outcome = "parked" if _insist(claims.park, stay, reason) else "superseded"
        logger.error("job_id=%s key=%s attempt=%s outcome=%s error=%s", *where, outcome, reason)
    else:
        outcome = "retry" if _insist(claims.postpone, stay) else "superseded"
        logger.warning("job_id=%s key=%s attempt=%s outcome=%s error=%s", *where, outcome, reason)
    return outcome


def _insist(write, *args, tries=3):
    """What has happened is written down, even if the database stumbles."""
    for left in reversed(range(tries)):
        try:
            return write(*args)
        except DatabaseError:
            if not left:
                raise
            time.sleep(0.1)
