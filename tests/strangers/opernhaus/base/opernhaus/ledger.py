"""Every change of a booking, each in a transaction of its own. A change says in its
WHERE what it takes for granted; somebody else may have been here in the meantime."""
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.sqlite import insert

from . import settings
from .models import Booking, DeadLetter, db, now

OPEN = ("sold", "annulling")


def _run(*statements):
    try:
        counts = [db.session.execute(s).rowcount for s in statements]
        db.session.commit()
        return counts
    except Exception:
        db.session.rollback()
        raise


def read(no):
    try:
        return db.session.execute(
            select(Booking.no, Booking.status, Booking.allocation, Booking.voucher_no, Booking.amount_cents,
                   Booking.iban, Booking.seats_released, Booking.attempts, Booking.rescues).where(Booking.no == no)
        ).first()
    finally:
        db.session.rollback()


def ask_for_annulment(no):
    return _run(update(Booking).where(Booking.no == no, Booking.status == "sold")
                .values(status="annulling", moved_at=now())) == [1]


def begin(no):
    """Counts an attempt before anything happens outside. False where there is none to make."""
    return _run(update(Booking)
                .where(Booking.no == no, Booking.status.in_(OPEN), Booking.attempts < settings.MAX_ATTEMPTS)
                .values(status="annulling", attempts=Booking.attempts + 1, moved_at=now())) == [1]


def released(no):
    _run(update(Booking).where(Booking.no == no).values(seats_released=True, moved_at=now()))


def annulled(no, reference):
    """Also out of stranded: the money is out, whatever somebody else has given up meanwhile."""
    _run(update(Booking).where(Booking.no == no, Booking.status != "annulled")
         .values(status="annulled", payout_ref=reference, moved_at=now()),
         delete(DeadLetter).where(DeadLetter.key == no))


def strand(no, reason):
    """Gives up on an open booking, and says so. False if it was not open any more."""
    try:
        stranded = db.session.execute(
            update(Booking).where(Booking.no == no, Booking.status.in_(OPEN))
            .values(status="stranded", moved_at=now())).rowcount == 1
        if stranded:
            attempts = db.session.scalar(select(Booking.attempts).where(Booking.no == no))
            db.session.execute(_letter(no, no, reason, attempts))
        db.session.commit()
        return stranded
    except Exception:
        db.session.rollback()
        raise


def lay_aside(key, reason, booking_no=None):
    """A message that belongs to no booking of ours."""
    _run(_letter(key, booking_no, reason, 1))


def _letter(key, booking_no, reason, attempts):
    return insert(DeadLetter).values(
        key=key, booking_no=booking_no, reason=reason, attempts=attempts, died_at=now()
    ).on_conflict_do_nothing(index_elements=["key"])


def standing_still():
    try:
        return db.session.execute(
            select(Booking.no, Booking.attempts, Booking.rescues)
            .where(Booking.status == "annulling", Booking.moved_at < now() - settings.STANDING_STILL)
            .order_by(Booking.moved_at)
        ).all()
    finally:
        db.session.rollback()


def count_rescue(no):
    _run(update(Booking).where(Booking.no == no, Booking.status == "annulling")
         .values(rescues=Booking.rescues + 1, moved_at=now()))
