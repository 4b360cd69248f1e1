from datetime import timedelta

import pytest
import requests
from loguru import logger
from sqlalchemy import update
from sqlalchemy.exc import OperationalError

from opernhaus import box_office, ledger
from opernhaus.annulment import BadMessage, Exhausted, annul_booking, job_id_of
from opernhaus.models import Booking, DeadLetter, db, now
from opernhaus.rescue import rescue

NO = "OH-1001"


def booking(no=NO):
    db.session.expire_all()
    return db.session.get(Booking, no)


def letters():
    return [(row.key, row.reason) for row in db.session.query(DeadLetter).all()]


def age(no=NO):
    db.session.execute(update(Booking).where(Booking.no == no).values(moved_at=now() - timedelta(hours=2)))
    db.session.commit()


def test_annulled(app, redis, partners, work):
    lines = []
    sink = logger.add(lines.append, format="{message}")
    box_office.request_annulment(NO)
    work()
    logger.remove(sink)
    assert (booking().status, booking().payout_ref, booking().seats_released) == ("annulled", "P-1", True)
    assert partners.released == ["AL-77-12"] and partners.asked == ["G-2027-001001"]
    assert f"job=annul-{NO} key={NO} attempt=1 outcome=annulled" in lines[-1]
    assert not any("DE02" in line for line in lines)
    assert booking("OH-1002").status == "sold"


def test_second_delivery(app, partners):
    assert annul_booking(booking_no=NO) == "annulled"
    assert annul_booking(booking_no=NO) == "annulled"
    assert len(partners.asked) == 1 and booking().attempts == 1


def test_lost_answer(app, redis, partners, work):
    partners.post_answers = [requests.ReadTimeout("timed out"), 503]
    box_office.request_annulment(NO)
    work()
    assert partners.asked == ["G-2027-001001"] * 3 and partners.released == ["AL-77-12"]
    assert booking().status == "annulled" and letters() == []


def test_seats_are_back_already(app, partners):
    partners.delete_answers = [404]
    assert annul_booking(booking_no=NO) == "annulled"


def test_refused_for_good(app, redis, partners, work):
    partners.post_answers = [422]
    box_office.request_annulment(NO)
    work()
    assert len(partners.asked) == 1
    assert booking().status == "stranded" and letters() == [(NO, "HTTPError")]


def test_five_attempts(app, redis, partners, work):
    partners.delete_answers = [503] * 9
    box_office.request_annulment(NO)
    work()
    assert len(partners.released) == 5 and partners.asked == []
    assert booking().status == "stranded" and letters() == [(NO, "HTTPError")]
    assert annul_booking(booking_no=NO) == "stranded"


def test_store_away_after_the_payout(app, partners, monkeypatch):
    def away(*args):
        raise OperationalError("update", {}, Exception("disk"))

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "annulled", away)
        with pytest.raises(OperationalError):
            annul_booking(booking_no=NO)
    assert annul_booking(booking_no=NO) == "annulled"
    assert set(partners.asked) == {"G-2027-001001"} and partners.paid == {"G-2027-001001": "P-1"}


def test_every_attempt_dies(app, partners, monkeypatch):
    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("opernhaus.partners.release_seats", killed)
    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            annul_booking(booking_no=NO)
    with pytest.raises(Exhausted):
        annul_booking(booking_no=NO)


def test_late_success_lifts_the_dead_letter(app, partners):
    assert ledger.begin(NO) and ledger.strand(NO, "Exhausted")
    ledger.annulled(NO, "P-9")
    assert booking().status == "annulled" and letters() == []
    assert not ledger.strand(NO, "late") and letters() == []


def test_free_tickets(app, partners):
    db.session.execute(update(Booking).where(Booking.no == NO).values(amount_cents=0))
    db.session.commit()
    assert annul_booking(booking_no=NO) == "annulled" and partners.asked == []


@pytest.mark.parametrize("message", [{}, {"booking_no": 7}, {"booking_no": "OH-9999"}, {"booking_no": NO, "iban": "x"}])
def test_foreign_message(app, redis, partners, work, message):
    job = box_office.put_in_queue("OH-9999")
    job.delete()
    box_office.queue().enqueue(annul_booking, kwargs=message, on_failure=box_office.Callback(box_office.on_failure))
    work()
    assert len(letters()) == 1 and partners.released == []
    assert booking().status == "sold"


def test_bad_message_is_an_error(app):
    with pytest.raises(BadMessage):
        annul_booking()


def test_rescue(app, redis, partners, work):
    box_office.request_annulment(NO)
    redis.flushall()
    assert rescue() == 0
    age()
    assert rescue() == 1
    work()
    assert booking().status == "annulled" and rescue() == 0


def test_rescue_ends_what_rq_gave_up(app, redis, partners):
    box_office.request_annulment(NO)
    db.session.execute(update(Booking).where(Booking.no == NO).values(attempts=5))
    db.session.commit()
    redis.flushall()
    age()
    assert rescue() == 0
    assert booking().status == "stranded" and letters() == [(NO, "Exhausted")]


def test_redis_away(app, monkeypatch):
    def away():
        raise box_office.RedisError("refused")

    monkeypatch.setattr(box_office, "queue", away)
    answer = app.test_client().post(f"/bookings/{NO}/annulment")
    assert answer.status_code == 202 and booking().status == "annulling"
    assert job_id_of(NO) == "annul-OH-1001"
