import logging
import smtplib

import requests
from rq import get_current_job

from . import cashdesk, locks, logs, notices, post, settings

logger = logging.getLogger(__name__)
logs.setup()

JOB = "overdue-notice"


class BadMessage(Exception):
    pass


def overdue_notice(message):
    """Book the fee of a notice, then mail the letter. message: {loan_id, level}."""
    log = logs.of_job(logger, JOB, message)
    job = get_current_job()
    log.info("started (rq job %s)", job.id if job else "-")
    try:
        loan_id, level = read(message)
    except BadMessage as exc:
        notices.bury(JOB, message, f"malformed: {exc}")
        log.error("failed, given up: malformed message: %s", exc)
        return

    attempt = 0
    try:
        with locks.only_one(f"notice-{loan_id}-{level}"):
            loan = notices.loan(loan_id)
            notice = notices.begin(loan_id, level)
            attempt = notice.attempts
            if notice.status != "pending":
                log.info("nothing to do, it is %s", notice.status)
                return
            if attempt > settings.MAX_ATTEMPTS:
                give_up(log, message, f"{attempt - 1} attempts ended without a result")
                return
            try:
                deliver(log, loan, notice)
            except Exception as exc:
                if may_pass(exc) and attempt < settings.MAX_ATTEMPTS:
                    raise
                give_up(log, message, f"{type(exc).__name__}: {exc}")
    except notices.NoSuchLoan as exc:
        notices.bury(JOB, message, str(exc))
        log.error("failed, given up: %s", exc)
    except Exception as exc:
        log.warning("attempt %s failed, will be retried: %s: %s", attempt, type(exc).__name__, exc)
        raise


def deliver(log, loan, notice):
    if loan.returned_on:
        notices.settle(notice.loan_id, notice.level, "void")
        log.info("done: the book is back, no notice")
        return
    cents = settings.FEES[notice.level]
    if cents and not notice.fee_ref:
        receipt = cashdesk.book_fee(
            account=loan.patron_id,
            cents=cents,
            purpose=f"Mahnung {notice.level}: {loan.title}",
            idempotency_key=f"stadtbib-notice-{notice.loan_id}-{notice.level}",
        )
        notices.fee_booked(notice.loan_id, notice.level, receipt)
        log.info("fee of %s cents booked, receipt %s", cents, receipt)
    post.send(
        to=loan.patron.email,
        subject=f"{notice.level}. Mahnung: {loan.title}",
        text=f"Guten Tag {loan.patron.name},\n\n{loan.title!r} war am {loan.due_on} fällig. "
             f"Die Gebühr beträgt {cents / 100:.2f} Euro.\n",
        message_id=f"<notice-{notice.loan_id}-{notice.level}@stadtbib.example.org>",
    )
    notices.settle(notice.loan_id, notice.level, "sent")
    log.info("succeeded, letter sent to patron %s", loan.patron_id)


def give_up(log, message, reason):
    notices.bury(JOB, message, reason, notice=(message["loan_id"], message["level"]))
    log.error("failed, given up: %s", reason)


def may_pass(exc):
    """Whether another try is worth while."""
    if isinstance(exc, requests.HTTPError):
        code = exc.response.status_code
        return code in (408, 425, 429) or code >= 500
    if isinstance(exc, smtplib.SMTPResponseException):
        return 400 <= exc.smtp_code < 500
    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        return all(400 <= code < 500 for code, _ in exc.recipients.values())
    return True


def read(message):
    if not isinstance(message, dict) or set(message) != {"loan_id", "level"}:
        raise BadMessage("loan_id and level are wanted, and nothing else")
    loan_id, level = message["loan_id"], message["level"]
    if type(loan_id) is not int or loan_id < 1:
        raise BadMessage(f"loan_id is {loan_id!r}")
    if type(level) is not int or level not in settings.FEES:
        raise BadMessage(f"level is {level!r}")
    return loan_id, level


def rq_gave_up(job, connection, type, value, traceback):
    """RQ calls this after each failed try, also of a worker that was lost. A
    notice that RQ will not bring again must not stand there pending for ever."""
    if job.retries_left:
        return
    message = job.args[0]
    log = logs.of_job(logger, JOB, message)
    try:
        notice = notices.find(*read(message))
    except BadMessage as exc:
        notices.bury(JOB, message, f"malformed: {exc}")
        log.error("failed, given up: malformed message: %s", exc)
        return
    if type is locks.Busy or (notice and notice.status != "pending"):
        return  # the other worker carries it on, or it is settled
    give_up(log, message, f"RQ has no tries left: {type.__name__}: {value}")


def horse_killed(job, retpid, ret_val, rusage):
    rq_gave_up(job, job.connection, ChildProcessError, f"work-horse ended with {ret_val}", None)
