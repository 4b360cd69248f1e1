"""The job: one debit per passage."""
import hashlib
import json
import logging
import re

import psycopg
from procrastinate import JobContext, RetryStrategy

from tollgate import charges
from tollgate.bank import BankUnavailable, ChargeRefused
from tollgate.db import connect
from tollgate.queue import app

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 6
TRANSIENT = (BankUnavailable, psycopg.OperationalError)
REF = re.compile(r"[A-Z][0-9]-[0-9]{8}-[0-9]{6}", re.ASCII)


class BadMessage(Exception):
    pass


class GaveUp(Exception):
    pass


@app.task(
    name="charge_passage",
    queue="charges",
    pass_context=True,
    # Procrastinate counts the retries, not the tries: waits of 4, 16, 64, 256, 1024 s
    retry=RetryStrategy(
        max_attempts=MAX_ATTEMPTS - 1, exponential_wait=4, retry_exceptions=TRANSIENT
    ),
)
def charge_passage(context: JobContext, /, **message) -> None:
    tries = context.job.attempts + 1
    about = {
        "job": "charge_passage",
        "job_id": context.job.id,
        "passage_ref": message.get("passage_ref"),
        "attempt": tries,
    }
    log.info("Charge started", extra=about)
    subject = subject_of(message)
    try:
        _check(message)
        with connect() as conn:
            begun = charges.begin(conn, subject)
        if begun is None:
            log.info("Charge had been settled before, nothing done", extra=about)
            return
        about["attempt"] = tries = max(tries, begun)
        if tries > MAX_ATTEMPTS:
            raise GaveUp("the workers did not survive it")
        with connect() as conn:
            booking = charges.settle(conn, subject)
    except TRANSIENT as error:
        if tries < MAX_ATTEMPTS:
            log.warning("Charge failed, to be retried", extra={**about, "reason": repr(error)})
            raise
        _refuse(subject, "GAVE-UP", f"{error!r}; ask the bank for the reference", tries, about)
        raise GaveUp(f"{MAX_ATTEMPTS} attempts, the last: {error!r}") from error
    except Exception as error:
        code = error.code if isinstance(error, ChargeRefused) else type(error).__name__
        _refuse(subject, code, str(error) or repr(error), tries, about)
        raise
    if booking is None:
        log.info("Charge was settled by another worker, nothing done", extra=about)
    else:
        log.info("Charge succeeded", extra={**about, "booking": booking})


def _readable(message: dict) -> bool:
    ref = message.get("passage_ref")
    return set(message) == {"passage_ref"} and isinstance(ref, str) and bool(REF.fullmatch(ref))


def _check(message: dict) -> None:
    if not _readable(message):
        raise BadMessage(f"not a passage: {json.dumps(message)[:500]}")


def subject_of(message: dict) -> str:
    """The passage, or a name for a message that tells none."""
    if _readable(message):
        return message["passage_ref"]
    text = json.dumps(message, sort_keys=True)
    return "message:" + hashlib.sha256(text.encode()).hexdigest()[:20]


def _refuse(subject: str, code: str, detail: str, tries: int, about: dict) -> None:
    with connect() as conn:
        recorded = charges.refuse(conn, subject, code, detail, tries)
    log.error(
        "Charge failed for good, see refusals" if recorded else "Charge failed, but is settled",
        extra={**about, "code": code, "reason": detail},
    )
