"""Versions of base: edits are (path, old text, new text); an empty old text writes the file new."""

VARIANTS = [
    {
        "id": "ok-settlements", "kind": "correct", "job": "annul-booking",
        "what": "Right in another way: what is done stands in a table of settlements (primary key booking_no), written in one transaction with the booking at the very end; nothing is committed between the two partners, the DELETE is repeated with each attempt, which is convergent. Log lines are JSON objects",
        "edits": [
            ("opernhaus/models.py", '''class DeadLetter(db.Model):
''', '''class Settlement(db.Model):
    """A booking that is done with. Once it stands here, nothing goes out for it any more."""

    __tablename__ = "settlements"

    booking_no = db.Column(db.String(12), db.ForeignKey("bookings.no"), primary_key=True)
    payout_ref = db.Column(db.String(40))
    settled_at = db.Column(db.DateTime, nullable=False, default=now)


class DeadLetter(db.Model):
'''),
            ("opernhaus/ledger.py", "from .models import Booking, DeadLetter, db, now", "from .models import Booking, DeadLetter, Settlement, db, now"),
            ("opernhaus/ledger.py", '''                   Booking.iban, Booking.seats_released, Booking.attempts, Booking.rescues).where(Booking.no == no)
''', '''                   Booking.iban, Booking.attempts, Booking.rescues).where(Booking.no == no)
'''),
            ("opernhaus/ledger.py", '''def released(no):
    _run(update(Booking).where(Booking.no == no).values(seats_released=True, moved_at=now()))


def annulled(no, reference):
    """Also out of stranded: the money is out, whatever somebody else has given up meanwhile."""
    _run(update(Booking).where(Booking.no == no, Booking.status != "annulled")
         .values(status="annulled", payout_ref=reference, moved_at=now()),
         delete(DeadLetter).where(DeadLetter.key == no))
''', '''def settled(no):
    try:
        return db.session.execute(select(Settlement.booking_no).where(Settlement.booking_no == no)).first() is not None
    finally:
        db.session.rollback()


def settle(no, reference):
    """Also out of stranded: the money is out, whatever somebody else has given up meanwhile."""
    _run(insert(Settlement).values(booking_no=no, payout_ref=reference, settled_at=now())
         .on_conflict_do_nothing(index_elements=["booking_no"]),
         update(Booking).where(Booking.no == no, Booking.status != "annulled")
         .values(status="annulled", seats_released=True, payout_ref=reference, moved_at=now()),
         delete(DeadLetter).where(DeadLetter.key == no))
'''),
            ("opernhaus/annulment.py", '''    tail = "".join(f" {name}={value}" for name, value in more.items())
    logger.log(level, "job={} key={} attempt={} outcome={}{}", job_id, key, attempt, outcome, tail)
''', '''    fields = {"job": job_id, "key": key, "attempt": attempt, "outcome": outcome, **more}
    logger.log(level, "{}", json.dumps(fields))
'''),
            ("opernhaus/annulment.py", '''    started = ledger.begin(no)
    booking = ledger.read(no)
''', '''    if ledger.settled(no):
        say("INFO", "settled", no, 0)
        return "annulled"
    started = ledger.begin(no)
    booking = ledger.read(no)
'''),
            ("opernhaus/annulment.py", '''        if not booking.seats_released:
            partners.release_seats(booking.allocation)
            ledger.released(no)
        reference = None
''', '''        partners.release_seats(booking.allocation)
        reference = None
'''),
            ("opernhaus/annulment.py", "        ledger.annulled(no, reference)\n", "        ledger.settle(no, reference)\n"),
            ("tests/test_annulment.py", '''    assert f"job=annul-{NO} key={NO} attempt=1 outcome=annulled" in lines[-1]
''', '''    assert json.loads(lines[-1]) == {"job": f"annul-{NO}", "key": NO, "attempt": 1, "outcome": "annulled"}
'''),
            ("tests/test_annulment.py", '''from datetime import timedelta

import pytest
''', '''import json
from datetime import timedelta

import pytest
'''),
            ("tests/test_annulment.py", '''partners.asked == ["G-2027-001001"] * 3 and partners.released == ["AL-77-12"]''', '''partners.asked == ["G-2027-001001"] * 3 and partners.released == ["AL-77-12"] * 3'''),
            ("tests/test_annulment.py", '''patch.setattr(ledger, "annulled", away)''', '''patch.setattr(ledger, "settle", away)'''),
            ("tests/test_annulment.py", '''    ledger.annulled(NO, "P-9")
''', '''    ledger.settle(NO, "P-9")
'''),
            (".skillrun/jobs/annul-booking.yaml", "  dedupe: {store: table bookings (status)}\n", "  dedupe: {store: table settlements}\n"),
            (".skillrun/jobs/annul-booking.yaml", '''    bookings: select no, status, seats_released, payout_ref from bookings order by no
''', '''    bookings: select no, status, seats_released, payout_ref from bookings order by no
    settlements: select booking_no, payout_ref from settlements order by 1
'''),
        ],
    },
    {
        "id": "m-gone-seats", "kind": "mistake", "job": "annul-booking",
        "what": "release_seats() takes every answer below 500 for seats that are gone. Breaks the spec's transient HTTPError 429 of the effect seats (and its permanent 422): the partner answers the DELETE with 429, nothing is released there, release_seats() returns, released() commits seats_released = 1, the voucher is paid out and the booking ends annulled. No later attempt asks for the seats again; they stay sold at the partner",
        "edits": [
            ("opernhaus/partners.py", '''        if error.response.status_code not in (404, 410):
            raise
''', '''        if error.response.status_code >= 500:
            raise
'''),
        ],
    },
    {
        "id": "m-letter-apart", "kind": "mistake", "job": "annul-booking",
        "what": "strand() commits the status and then writes the dead letter in a transaction of its own. Breaks dead_letter (promise 2: stranded with a row in dead_letters): the fifth attempt fails, on_failure commits status = stranded, and the work horse is killed or SQLite is locked before the second commit. RQ calls no callback a second time that helps (strand() finds no open booking any more and returns False), and the rescuer looks at annulling alone: the booking is stranded and nobody hears of it",
        "edits": [
            ("opernhaus/ledger.py", '''    try:
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


def lay_aside(''', '''    stranded = _run(update(Booking).where(Booking.no == no, Booking.status.in_(OPEN))
                    .values(status="stranded", moved_at=now())) == [1]
    if stranded:
        _run(_letter(no, no, reason, read(no).attempts))
    return stranded


def lay_aside('''),
        ],
    },
    {
        "id": "m-rescued-number", "kind": "mistake", "job": "annul-booking",
        "what": "A booking that was rescued is paid out under the voucher number with a suffix -R<rescues>. Breaks the effect payout's guarantee keyed (promise 1): the POST under G-2027-001001 is taken by the treasury, the worker dies before ledger.annulled() commits and the message is lost with Redis; the booking stands still, the rescuer queues it and counts rescues = 1; the new attempt POSTs under G-2027-001001-R1, which the treasury does not know, and pays a second time",
        "edits": [
            ("opernhaus/annulment.py", '''            reference = partners.pay_out(booking.voucher_no, booking.amount_cents, booking.iban)
''', '''            reference = partners.pay_out(voucher_of(booking), booking.amount_cents, booking.iban)
'''),
            ("opernhaus/annulment.py", '''def annul_booking(booking_no=None, **surplus):
''', '''def voucher_of(booking):
    """The number on the payout. The treasury's list shows which of them had to be rescued."""
    if booking.rescues:
        return f"{booking.voucher_no}-R{booking.rescues}"
    return booking.voucher_no


def annul_booking(booking_no=None, **surplus):
'''),
        ],
    },
]
