from datetime import timedelta

import psycopg
import pytest

from lagerhaus import announcing, clock, floor, model
from lagerhaus.carrier import CarrierBusy, CarrierRefused

NO = "LH-000001"


def test_release_commits_the_job_with_the_row(db):
    floor.release(NO)
    floor.release(NO)
    assert db.shipment(NO)["status"] == "released" and db.shipment(NO)["client_reference"]
    jobs = db.jobs()
    assert jobs == [{"task_name": "announce_shipment", "args": {"shipment_no": NO}}]


def test_a_job_that_cannot_be_deferred_releases_nothing(db, monkeypatch):
    def refuse(conn, shipment_no):
        raise psycopg.OperationalError("gone")

    monkeypatch.setattr(floor, "defer", refuse)
    with pytest.raises(psycopg.OperationalError):
        floor.release(NO)
    assert db.shipment(NO)["status"] == "packed"


def test_announces(db, carrier, deliver):
    floor.release(NO)
    assert deliver(shipment_no=NO) == "succeeded"
    row = db.shipment(NO)
    assert (row["status"], row["tracking_no"]) == ("announced", "PB00000001")
    assert list(carrier.known) == [row["client_reference"]]
    assert db.expected_parcels() == 3


def test_a_second_delivery_does_nothing(db, carrier, deliver):
    floor.release(NO)
    deliver(shipment_no=NO)
    assert deliver(shipment_no=NO, job_id=2) == "succeeded"
    assert carrier.calls == 1 and db.expected_parcels() == 3


def test_two_deliveries_at_once(db, carrier, deliver, monkeypatch):
    floor.release(NO)
    start = announcing._start

    def start_and_be_overtaken(shipment_no):
        mine = start(shipment_no)
        monkeypatch.setattr(announcing, "_start", start)
        deliver(shipment_no=NO, job_id=2)
        return mine

    monkeypatch.setattr(announcing, "_start", start_and_be_overtaken)
    assert deliver(shipment_no=NO) == "succeeded"
    assert len(carrier.known) == 1 and db.expected_parcels() == 3


def test_busy_carrier_is_tried_five_times(db, carrier, deliver):
    floor.release(NO)
    carrier.errors = [CarrierBusy("HTTP 503") for _ in range(5)]
    assert [deliver(n, shipment_no=NO) for n in range(5)] == ["retry"] * 4 + ["failed"]
    assert db.shipment(NO)["status"] == "stuck"
    letters = db.letters()
    assert letters == [{"key": NO, "message": {"shipment_no": NO}, "reason": "CarrierBusy: HTTP 503"}]


def test_refusal_is_final_until_somebody_reopens(db, carrier, deliver):
    floor.release(NO)
    before = db.shipment(NO)["client_reference"]
    carrier.errors = [CarrierRefused("HTTP 422")]
    assert deliver(shipment_no=NO) == "failed"
    assert deliver(shipment_no=NO, job_id=2) == "succeeded" and carrier.calls == 1
    floor.reopen(NO)
    assert deliver(shipment_no=NO, job_id=3) == "succeeded"
    assert list(carrier.known) == [before] and not db.letters()


@pytest.mark.parametrize("message", [{}, {"shipment_no": 1}, {"shipment_no": "LH-1"}, {"shipment_no": NO, "express": True}])
def test_unreadable_messages(db, carrier, deliver, message):
    assert deliver(**message) == "failed" and deliver(job_id=2, **message) == "failed"
    assert len(db.letters()) == 1 and carrier.calls == 0


def test_not_known_or_not_released(db, carrier, deliver):
    assert deliver(shipment_no="LH-999999") == "failed"
    assert deliver(shipment_no=NO) == "failed"
    assert db.shipment(NO)["status"] == "packed" and carrier.calls == 0


def test_chase(db, carrier, deliver, monkeypatch):
    floor.release(NO)
    assert floor.chase() == 0
    later = clock.utcnow() + timedelta(minutes=16)
    monkeypatch.setattr(clock, "utcnow", lambda: later)
    assert floor.chase() == 1 and floor.chase() == 0
    assert len(db.jobs()) == 2


def test_lost_workers_come_to_an_end(db, carrier, deliver):
    floor.release(NO)
    for _ in range(model.MAX_STARTS):
        announcing._start(NO)
    assert deliver(shipment_no=NO) == "failed"
    assert db.shipment(NO)["status"] == "stuck" and carrier.calls == 0


def test_an_old_reference_is_not_repeated(db, carrier, deliver, monkeypatch):
    floor.release(NO)
    announcing._start(NO)
    later = clock.utcnow() + timedelta(days=11)
    monkeypatch.setattr(clock, "utcnow", lambda: later)
    assert deliver(shipment_no=NO) == "failed" and carrier.calls == 0
