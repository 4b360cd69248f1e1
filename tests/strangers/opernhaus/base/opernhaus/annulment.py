"""The job: annul one booking."""
import hashlib
import json
import re

from loguru import logger
from rq import get_current_job

from . import house, ledger, partners, settings

BOOKING_NO = re.compile(r"OH-[0-9]{4,8}")


class BadMessage(Exception):
    pass


class NoSuchBooking(Exception):
    pass


class Exhausted(Exception):
    """The booking has had its attempts; the last of them did not live to say so."""


HOPELESS = (BadMessage, NoSuchBooking, Exhausted)


def job_id_of(booking_no):
    return f"annul-{booking_no}"


def say(level, outcome, key, attempt, job_id=None, **more):
    job = get_current_job()
    job_id = job_id or (job.id if job else "-")
    tail = "".join(f" {name}={value}" for name, value in more.items())
    logger.log(level, "job={} key={} attempt={} outcome={}{}", job_id, key, attempt, outcome, tail)


def annul_booking(booking_no=None, **surplus):
    if surplus or not isinstance(booking_no, str) or not BOOKING_NO.fullmatch(booking_no):
        raise BadMessage("fields")
    with house():
        return _annul(booking_no)


def _annul(no):
    started = ledger.begin(no)
    booking = ledger.read(no)
    if booking is None:
        raise NoSuchBooking(no)
    if not started:
        if booking.status in ledger.OPEN:
            raise Exhausted(no)
        say("INFO", f"already-{booking.status}", no, booking.attempts)
        return booking.status

    say("INFO", "started", no, booking.attempts)
    try:
        if not booking.seats_released:
            partners.release_seats(booking.allocation)
            ledger.released(no)
        reference = None
        if booking.amount_cents:
            reference = partners.pay_out(booking.voucher_no, booking.amount_cents, booking.iban)
        ledger.annulled(no, reference)
    except Exception as error:
        say("WARNING", "error", no, booking.attempts, error=type(error).__name__)
        raise
    say("INFO", "annulled", no, booking.attempts)
    return "annulled"


def on_failure(job, connection, error_type, error, traceback):
    """After each attempt that failed. Nothing to do as long as RQ has another one."""
    hopeless = issubclass(error_type, HOPELESS) or partners.refused(error_type, error)
    if job.retries_left and not hopeless:
        return
    with house():
        bury(job.kwargs, error_type, job.id)
    job.retries_left = 0


def bury(message, error_type, job_id):
    no = message.get("booking_no")
    if issubclass(error_type, (BadMessage, NoSuchBooking)):
        text = json.dumps(message, sort_keys=True, default=str)
        key = "message-" + hashlib.sha256(text.encode()).hexdigest()[:32]
        ledger.lay_aside(key, error_type.__name__)
        say("ERROR", "dead-letter", key, 1, job_id, error=error_type.__name__)
    elif ledger.strand(no, error_type.__name__):
        say("ERROR", "dead-letter", no, settings.MAX_ATTEMPTS, job_id, error=error_type.__name__)
    else:
        say("INFO", "settled-elsewhere", no, settings.MAX_ATTEMPTS, job_id)
