import hashlib
import json
import logging
from datetime import timedelta

import psycopg
from procrastinate import RetryStrategy

from pfandhaus.bank import BankUnavailable, Transfer, bank
from pfandhaus.db import now, transaction
from pfandhaus.loans import PAYOUT
from pfandhaus.queue import app

logger = logging.getLogger("pfandhaus.payouts")

RETRY = RetryStrategy(
    max_attempts=4,
    wait=30,
    linear_wait=90,
    retry_exceptions=(BankUnavailable, psycopg.OperationalError),
)
MOST_STARTS = 10
ID_GOOD_FOR = timedelta(days=45)


class BadMessage(Exception):
    pass


class NoSuchLoan(Exception):
    pass


class TooManyStarts(Exception):
    pass


class IdTooOld(Exception):
    pass


@app.task(name="pay_out_loan", queue="payouts", pass_context=True, retry=RETRY)
def pay_out_loan(context, **message):
    job = context.job
    loan_id = loan_of(message)
    key = str(loan_id) if loan_id is not None else fingerprint(message)
    about = {"job": PAYOUT, "job_id": job.id, "key": key, "attempt": job.attempts + 1}
    logger.info("payout started", extra={**about, "outcome": "started"})
    try:
        outcome = pay_out(loan_id)
    except Exception as exc:
        reason = describe(exc)
        if RETRY.get_retry_decision(exception=exc, job=job) is not None:
            logger.warning("payout fails for now", extra={**about, "outcome": "retry", "reason": reason})
            raise
        with transaction() as loans:
            buried = loans.bury(loan_id, key, message, reason, about["attempt"], now())
        if not buried:
            logger.info("payout is over", extra={**about, "outcome": "nothing to do", "reason": reason})
            return
        logger.error("payout given up", extra={**about, "outcome": "dead", "reason": reason})
        raise
    logger.info("payout is over", extra={**about, "outcome": outcome})


def pay_out(loan_id):
    if loan_id is None:
        raise BadMessage("wants a loan_id and nothing else")
    with transaction() as loans:
        loan = loans.start(loan_id, now())
        known = loan is not None or loans.exists(loan_id)
    if not known:
        raise NoSuchLoan(f"no loan {loan_id}")
    if loan is None:
        return "nothing to do"
    if loan["starts"] > MOST_STARTS:
        raise TooManyStarts(f"{MOST_STARTS} starts came to no end")
    if loan["approved_at"] < now() - ID_GOOD_FOR:
        raise IdTooOld("approved too long ago to ask the bank again")
    reference = bank.transfer(
        Transfer(loan["iban"], loan["amount_cents"], f"Pfandkredit {loan_id}"),
        end_to_end_id=loan["end_to_end_id"],
    )
    with transaction() as loans:
        settled = loans.settle(loan_id, reference, now())
    return "paid" if settled else "paid before"


def loan_of(message):
    loan_id = message.get("loan_id")
    if set(message) == {"loan_id"} and type(loan_id) is int and 0 < loan_id < 2**31:
        return loan_id
    return None


def fingerprint(message):
    return "unreadable-" + hashlib.sha256(json.dumps(message, sort_keys=True).encode()).hexdigest()[:16]


def describe(exc):
    if isinstance(exc, psycopg.Error):
        return f"{type(exc).__name__} {exc.sqlstate or ''}".strip()
    return f"{type(exc).__name__}: {exc}"
