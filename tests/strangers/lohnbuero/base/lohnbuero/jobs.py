import hashlib
import json
import smtplib

import httpx
from loguru import logger
from rq import get_current_job
from rq.timeouts import JobTimeoutException
from sqlalchemy.exc import SQLAlchemyError

from . import config, logs, mailer, service
from .authority import Authority, Garbled
from .commands import BadMessage, Burial, TransmitDeclaration
from .model import Status
from .queue import JOB

logs.setup()


class TryAgain(Exception):
    """Tells RQ that another attempt is worth while."""


class UsedUp(Exception):
    pass


def transmit_declaration(**message):
    """Transmit a released declaration to the authority, then mail the clerk the receipt."""
    job = get_current_job()
    job_id = job.id if job else "-"
    log = logger.bind(job=JOB, job_id=job_id, key=key_of(message), attempt=tries_of(job) + 1)
    declaration = None
    try:
        command = TransmitDeclaration.parse(message)
        declaration = service.begin(command.declaration_id)
        if declaration is None:
            log.bind(outcome="nothing_to_do").info("declaration is at its end")
            return
        log = log.bind(attempt=declaration.attempts)
        log.bind(outcome="started").info("declaration started")
        if declaration.attempts > config.MAX_ATTEMPTS:
            raise UsedUp(f"{config.MAX_ATTEMPTS} attempts ended without a word")
        if declaration.status == Status.RELEASED:
            ticket = Authority().transmit(
                transmission_no=declaration.transmission_no,
                employer_no=declaration.employer.number,
                period=declaration.period,
                gross_cents=declaration.gross_cents,
            )
            declaration = service.record_ticket(declaration.id, ticket)
            log.bind(outcome="transmitted", ticket=ticket).info("declaration transmitted")
        if declaration.status == Status.TRANSMITTED:
            mailer.send(mailer.receipt(declaration))
            service.finish(declaration.id)
    except Exception as error:
        reason = reason_of(error)
        if may_pass(error) and (declaration is None or declaration.attempts < config.MAX_ATTEMPTS):
            log.bind(outcome="retry", reason=reason).warning("declaration will be tried again")
            raise TryAgain(reason) from None
        give_up(log, message, job_id, declaration, reason)
    else:
        log.bind(outcome="done").info("declaration done")


def give_up(log, message, job_id, declaration, reason):
    burial = Burial(
        key=key_of(message),
        message=message,
        reason=reason,
        job_id=job_id,
        declaration_id=declaration and declaration.id,
        seen=declaration and declaration.status,
    )
    try:
        buried = service.bury(burial)
    except SQLAlchemyError as error:
        log.bind(outcome="unrecorded", reason=reason_of(error)).error("declaration left to the sweep")
        raise TryAgain(reason_of(error)) from None
    log.bind(outcome="dead" if buried else "was_over", reason=reason).error("declaration given up")


def may_pass(error):
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in (408, 425, 429) or error.response.status_code >= 500
    if isinstance(error, smtplib.SMTPResponseException):
        return 400 <= error.smtp_code < 500
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(400 <= code < 500 for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPException):
        return isinstance(error, smtplib.SMTPServerDisconnected)
    return isinstance(error, (httpx.TransportError, Garbled, OSError, SQLAlchemyError, JobTimeoutException))


def reason_of(error):
    """Without addresses, amounts or statements: for logs, and for RQ's own records."""
    name = type(error).__name__
    if isinstance(error, httpx.HTTPStatusError):
        return f"{name}: {error.response.status_code}"
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{name}: {error.smtp_code}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"{name}: {sorted({code for code, _ in error.recipients.values()})}"
    if isinstance(error, (BadMessage, UsedUp, Garbled, service.UnknownDeclaration, service.NotReleased)):
        return f"{name}: {error}"
    return name


def tries_of(job):
    return (job and job.number_of_retries) or 0


def key_of(message):
    try:
        return TransmitDeclaration.parse(message).key
    except BadMessage:
        return "bad-" + hashlib.sha256(json.dumps(message, sort_keys=True, default=str).encode()).hexdigest()[:16]
