import functools
import hashlib
import json
from datetime import datetime, timedelta, timezone

import psycopg

from labtrack.archive import ArchiveUnavailable, DocumentArchive
from labtrack.db import UnitOfWork
from labtrack.domain import (
    ConcurrentUpdate, DispatchFailed, DispatchKey, MalformedMessage, NotDispatchable, OutOfAttempts)
from labtrack.gateway import AlreadySubmitted, ClinicGateway, GatewayUnavailable

SEND_REPORT = "labtrack.send_report"

# Longer than the longest wait between two attempts (625 s) and an attempt itself.
STALLED_AFTER = timedelta(minutes=15)
USELESS_AFTER = timedelta(hours=24)

# May pass. Everything else will not, be it foreseen (ArchiveRefused, SubmissionRefused) or a bug.
TRANSIENT = (ArchiveUnavailable, GatewayUnavailable, ConcurrentUpdate, psycopg.OperationalError)


def utcnow():
    return datetime.now(timezone.utc)


def again_on_conflict(work):
    """Optimistic locking: who lost reads again and decides again."""

    @functools.wraps(work)
    def wrapper(*args, **kwargs):
        for _ in range(2):
            try:
                return work(*args, **kwargs)
            except ConcurrentUpdate:
                pass
        return work(*args, **kwargs)

    return wrapper


# --- what the application calls ------------------------------------------------------------------

@again_on_conflict
def release(report_no, revision, uow_class=UnitOfWork):
    """Have a revision dispatched. Releasing it again does nothing."""
    key = DispatchKey(report_no, revision)
    with uow_class() as uow:
        report = uow.reports.get(key, hold=True)
        if report is None or report.status != "authorised":
            raise NotDispatchable(f"{key} is {report.status if report else 'unknown'}")
        if uow.dispatches.get(key) is None:
            uow.dispatches.get_or_add(key, utcnow())
            uow.outbox.add(SEND_REPORT, key.as_message(), utcnow())
            uow.commit()


@again_on_conflict
def withdraw(report_no, revision, uow_class=UnitOfWork):
    """Withdraw a revision; too late once its dispatch has begun."""
    key = DispatchKey(report_no, revision)
    with uow_class() as uow:
        report = uow.reports.get(key)
        if report is None:
            raise NotDispatchable(f"there is no {key}")
        report.status = "withdrawn"
        uow.reports.save(report)
        dispatch = uow.dispatches.get(key)
        if dispatch is not None:
            if dispatch.status != "pending":
                return False
            dispatch.status, dispatch.updated_at = "cancelled", utcnow()
            uow.dispatches.save(dispatch)
        uow.commit()
        return True


# --- the job -------------------------------------------------------------------------------------

class SendReport:
    def __init__(self, log, uow_class=UnitOfWork, archive=None, gateway=None, now=utcnow):
        self.log, self.uow_class, self.now = log, uow_class, now
        self.archive = archive or DocumentArchive()
        self.gateway = gateway or ClinicGateway()

    def __call__(self, message):
        try:
            key = DispatchKey.from_message(message)
        except MalformedMessage as error:
            self.reject(message, error)
            raise
        self.log = self.log.bind(job=str(key))
        try:
            report, attempt = self.begin(key)
            if report is None:
                return None
            self.log = self.log.bind(attempt=attempt)
            self.log.info("dispatch started")
            receipt = self.dispatch(key, report)
        except TRANSIENT as error:
            if self.attempts_left(key):
                self.log.warning("dispatch will be retried",
                                 extra={"reason": f"{type(error).__name__}: {error}"})
                raise
            return self.give_up(key, message, error)
        except Exception as error:
            return self.give_up(key, message, error)
        self.log.info("dispatch succeeded", extra={"receipt": receipt})
        return receipt

    @again_on_conflict
    def begin(self, key):
        """Take the next attempt; it counts from here on, even if we are killed."""
        with self.uow_class() as uow:
            report = uow.reports.get(key, hold=True)
            if report is None:
                raise NotDispatchable(f"there is no {key}")
            dispatch = uow.dispatches.get_or_add(key, self.now())
            if not dispatch.open:
                self.log.info("dispatch skipped", extra={"status": dispatch.status})
                return None, 0
            if report.status != "authorised":
                raise NotDispatchable(f"{key} is {report.status}")
            if dispatch.exhausted:
                raise OutOfAttempts(f"stopped {dispatch.attempts} times without a result")
            dispatch.begin(self.now())
            uow.dispatches.save(dispatch)
            uow.commit()
            return report, dispatch.attempts

    def dispatch(self, key, report):
        document = report.document()
        document_key = f"reports/{key.report_no}/{key.revision}.json"
        self.archive.put(key=document_key, document=document)
        try:
            receipt = self.gateway.submit(
                message_id=str(key), clinic=report.clinic, document_key=document_key,
                digest=hashlib.sha256(document).hexdigest())
        except AlreadySubmitted as known:
            receipt = known.receipt
        self.finish(key, document_key, receipt)
        return receipt

    @again_on_conflict
    def finish(self, key, document_key, receipt):
        with self.uow_class() as uow:
            dispatch = uow.dispatches.get(key)
            if dispatch.status == "sent":
                return
            if dispatch.status == "cancelled":
                # Cannot happen through withdraw(); somebody has been at the table by hand.
                dispatch.document_key, dispatch.receipt = document_key, receipt
                uow.dead_letters.add(str(key), key.as_message(), "submitted, though cancelled", self.now())
                self.log.error("dispatch was cancelled after it had begun", extra={"receipt": receipt})
            else:
                # Also from failed: another delivery gave up while the gateway was answering us.
                dispatch.succeed(document_key, receipt, self.now())
                uow.dead_letters.remove(str(key))
            uow.dispatches.save(dispatch)
            uow.commit()

    def attempts_left(self, key):
        with self.uow_class() as uow:
            dispatch = uow.dispatches.get(key)
            return dispatch is None or not (dispatch.open and dispatch.exhausted)

    def give_up(self, key, message, error):
        reason = f"{type(error).__name__}: {error}"
        if not fail(key, message, reason, self.uow_class, self.now):
            self.log.info("dispatch was closed by another delivery", extra={"reason": reason})
            return None
        self.log.error("dispatch failed", extra={"reason": reason})
        raise DispatchFailed(f"{key}: {reason}") from error

    def reject(self, message, error):
        digest = hashlib.sha256(json.dumps(message, sort_keys=True, default=str).encode()).hexdigest()
        subject = f"message {digest[:16]}"
        with self.uow_class() as uow:
            uow.dead_letters.add(subject, message, f"MalformedMessage: {error}", self.now())
            uow.commit()
        self.log.error("message rejected", extra={"job": subject, "reason": str(error)})


@again_on_conflict
def fail(key, message, reason, uow_class=UnitOfWork, now=utcnow):
    """Close a dispatch with a dead letter; False where it is closed already."""
    with uow_class() as uow:
        dispatch = uow.dispatches.get(key)
        if dispatch is not None:
            if not dispatch.open:
                return False
            dispatch.status, dispatch.updated_at = "failed", now()
            uow.dispatches.save(dispatch)
        uow.dead_letters.add(str(key), message, reason, now())
        uow.commit()
        return True
