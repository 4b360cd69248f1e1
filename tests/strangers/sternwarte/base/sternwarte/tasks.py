"""The job: reserve one booking's slot at the partner."""
import hashlib
import json
import logging
import re

from . import config
from .network import NetworkRefused, SlotTaken, TelescopeNetwork
from .repositories import Bookings, DeadLetters, Inbox, transaction

log = logging.getLogger("sternwarte.reserve")

OPEN = ("planned", "requested")
BOOKING_ID = re.compile(r"B-[0-9]{1,9}")


class BadMessage(Exception):
    pass


class UnknownBooking(Exception):
    pass


class OutOfAttempts(Exception):
    """Earlier attempts died without a word; the count in the row has run out."""


PERMANENT = (BadMessage, UnknownBooking, OutOfAttempts, NetworkRefused)


def job_id_for(booking_id):
    return f"reserve-{booking_id}"


def message_for(booking_id):
    return {"message_id": f"reserve:{booking_id}", "booking_id": booking_id}


def parse(message):
    if not isinstance(message, dict) or set(message) != {"message_id", "booking_id"}:
        raise BadMessage("fields")
    booking_id = message["booking_id"]
    if not isinstance(booking_id, str) or not BOOKING_ID.fullmatch(booking_id):
        raise BadMessage("booking_id")
    if message["message_id"] != f"reserve:{booking_id}":
        raise BadMessage("message_id")
    return message["message_id"], booking_id


def note(outcome, booking_id, attempt, level=logging.INFO, **more):
    fields = {"job": job_id_for(booking_id), "key": f"reserve:{booking_id}", "attempt": attempt,
              "outcome": outcome, **more}
    log.log(level, " ".join(f"{k}={v}" for k, v in fields.items()))


def reserve_slot(message):
    message_id, booking_id = parse(message)

    with transaction() as conn:
        booking = Bookings(conn).get(booking_id)
        if booking is None:
            raise UnknownBooking(booking_id)
        if Inbox(conn).has(message_id) or booking.status not in OPEN:
            note("duplicate", booking_id, booking.attempts, status=booking.status)
            return "duplicate"
        # Committed before the partner is asked, so that an attempt which kills us counts.
        started = Bookings(conn).begin_attempt(booking_id)
        if started is None:
            booking = Bookings(conn).get(booking_id)
            if booking.status not in OPEN:
                note("duplicate", booking_id, booking.attempts, status=booking.status)
                return "duplicate"
            raise OutOfAttempts(f"{booking.attempts} attempts")
    attempt = started.attempts
    note("started", booking_id, attempt)

    try:
        with TelescopeNetwork() as network:
            reservation = network.reserve(
                reservation_id=started.id,
                telescope=started.telescope,
                night=started.night.isoformat(),
                slot=started.slot,
            )
    except SlotTaken:
        reservation = None
    except Exception as exc:
        note("error", booking_id, attempt, logging.WARNING, error=type(exc).__name__)
        raise

    with transaction() as conn:
        if not Inbox(conn).take(message_id, booking_id):
            note("duplicate", booking_id, attempt)
            return "duplicate"
        if reservation is None:
            Bookings(conn).refuse(booking_id)
        else:
            Bookings(conn).confirm(booking_id, reservation)
        DeadLetters(conn).exhume(message_id)  # of a delivery beside us that gave up too early
    outcome = "refused" if reservation is None else "confirmed"
    note(outcome, booking_id, attempt)
    return outcome


def bury(message, error, attempt):
    """Ends the job of a message: dead letter and failed booking, in one transaction.
    A booking that has come to its end otherwise gets no dead letter."""
    text = json.dumps(message, sort_keys=True, default=str)[:4000]
    try:
        message_id, booking_id = parse(message)
    except BadMessage:
        message_id, booking_id = "bad:" + hashlib.sha256(text.encode()).hexdigest(), None
    with transaction() as conn:
        if booking_id is not None and not Bookings(conn).fail(booking_id):
            booking = Bookings(conn).get(booking_id)
            if booking is not None:
                note("settled-before", booking_id, attempt, status=booking.status)
                return False
        DeadLetters(conn).bury(message_id, booking_id, text, error, attempt)
    log.error("job=%s key=%s attempt=%s outcome=dead-letter error=%s",
              job_id_for(booking_id or "unknown"), message_id, attempt, error)
    return True


def on_failure(job, connection, exc_type, exc, traceback):
    """RQ calls this after every failed attempt. Nothing to do while another comes."""
    permanent = issubclass(exc_type, PERMANENT)
    if job.retries_left and not permanent:
        return
    message = job.args[0] if job.args else None
    bury(message, exc_type.__name__, config.MAX_ATTEMPTS - (job.retries_left or 0))
    # Only now: had PostgreSQL been away, RQ would bring the job and with it another chance.
    job.retries_left = 0
