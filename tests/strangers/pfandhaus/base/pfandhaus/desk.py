"""What the clerks' screens call."""
import logging
from datetime import timedelta

import psycopg
from procrastinate.exceptions import ConnectorException

from pfandhaus import queue
from pfandhaus.db import now, transaction

logger = logging.getLogger("pfandhaus.desk")

QUIET = timedelta(minutes=20)
REOPEN_WITHIN = timedelta(days=40)


class UnknownLoan(Exception):
    pass


class CannotReopen(Exception):
    pass


def approve(loan_id):
    with transaction() as loans:
        status = loans.approve(loan_id, now())
    if status is None:
        raise UnknownLoan(loan_id)
    if status == "approved":
        _queue_or_leave(loan_id)


def reopen(loan_id):
    """Pay out a failed loan after all, under the end-to-end id that it has."""
    with transaction() as loans:
        if not loans.reopen(loan_id, now() - REOPEN_WITHIN):
            raise CannotReopen(loan_id)
    _queue_or_leave(loan_id)


def queue_left_behind():
    with transaction() as loans:
        waiting = loans.left_behind(now() - QUIET)
    for loan_id in waiting:
        _queue(loan_id)
    if waiting:
        logger.warning("loans left behind", extra={"loans": waiting})


def _queue(loan_id):
    fresh = queue.put(loan_id)
    with transaction() as loans:
        loans.queued(loan_id, now())
    logger.info("payout queued" if fresh else "payout is queued already", extra={"key": str(loan_id)})


def _queue_or_leave(loan_id):
    try:
        _queue(loan_id)
    except (ConnectorException, psycopg.OperationalError) as exc:
        logger.warning("payout not queued, left to the upkeep", extra={"key": str(loan_id), "reason": type(exc).__name__})
