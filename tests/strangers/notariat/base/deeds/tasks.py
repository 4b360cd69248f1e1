import hashlib
import json
import logging

from celery import shared_task
from django.conf import settings
from django.db import Error as DatabaseTrouble

from . import desk, filing as filings, letters
from .errors import BadMessage, Final, Passing
from .models import Filing
from .register import RegisterClient

logger = logging.getLogger(__name__)


@shared_task(bind=True, acks_late=True, reject_on_worker_lost=True, max_retries=settings.FILING_TRIES - 1)
def file_deed(self, deed_id=None, **surplus):
    """File a signed deed at the public register, then tell the client."""
    job = Job(self, {"deed_id": deed_id, **surplus})
    try:
        job.read()
        if not filings.start(job.filing):
            job.say(logging.INFO, "nothing to do", "skipped")
            return
        job.say(logging.INFO, "filing started", "started")
        if job.filing.state == Filing.State.SIGNED:
            submit(job)
        if job.filing.state == Filing.State.FILED:
            confirm(job)
    except Final as exc:
        job.end(exc)
    except (Passing, DatabaseTrouble) as exc:
        if self.request.retries < self.max_retries:
            wait = pause(self.request.retries)
            job.say(logging.WARNING, "filing failed, will be tried again", "retry", reason=reason(exc), wait=wait)
            raise self.retry(exc=exc, countdown=wait)
        if isinstance(exc, DatabaseTrouble):
            # Nothing can be written down now; the row is still open, and the sweep will find it.
            job.say(logging.ERROR, "database away", "left to the sweep", reason=reason(exc))
            raise
        job.end(exc)


def submit(job):
    deed = job.filing.deed
    receipt = RegisterClient().submit(
        submission_id=job.filing.submission_id,
        number=deed.number,
        title=deed.title,
        signed_on=deed.signed_at.date().isoformat(),
    )
    filings.enter_receipt(job.filing, receipt)
    job.say(logging.INFO, "deed filed", "filed", receipt=receipt)


def confirm(job):
    letters.post(**letters.confirmation(job.filing))
    filings.mark_confirmed(job.filing)
    job.say(logging.INFO, "client told", "confirmed")


def pause(retries):
    return min(settings.FILING_FIRST_WAIT * 2**retries, settings.FILING_LONGEST_WAIT)


def reason(exc):
    return f"{type(exc).__name__}: {exc}" if isinstance(exc, (Passing, Final)) else type(exc).__name__


class Job:
    """A delivery of file_deed: its message, its filing, and how it is spoken of in the log."""

    def __init__(self, task, message):
        self.request = task.request
        self.message = json.dumps(message, sort_keys=True, default=str)
        self.fields = message
        self.filing = None
        self.key = "message-" + hashlib.sha256(self.message.encode()).hexdigest()[:20]

    def read(self):
        deed_id = self.fields["deed_id"]
        if type(deed_id) is not int or not 0 < deed_id < 2**63 or len(self.fields) > 1:
            raise BadMessage("expected deed_id, a positive integer")
        self.key = f"deed-{deed_id}"
        self.filing = filings.find(deed_id)

    def end(self, exc):
        letter = {"job_id": self.request.id or "", "message": self.message[:1000], "reason": reason(exc)[:200]}
        if self.filing is None:
            ended = insist(filings.bury, self.key, letter)
        else:
            ended = insist(filings.give_up, self.filing, letter)
        if ended:
            self.say(logging.ERROR, "filing given up", "dead", reason=reason(exc))
        else:
            self.say(logging.INFO, "ended elsewhere", "skipped", reason=reason(exc))

    def say(self, level, text, outcome, **more):
        extra = {"job": "file-deed", "job_id": self.request.id, "key": self.key, "attempt": self.request.retries + 1}
        logger.log(level, text, extra=extra | {"outcome": outcome} | more)


def insist(write, *args, times=3):
    for left in range(times - 1, -1, -1):
        try:
            return write(*args)
        except DatabaseTrouble:
            if not left:
                raise


@shared_task
def sweep_filings():
    desk.resend_stuck()
