import logging
from datetime import timedelta
from unittest import mock

import pytest
import requests
from celery.exceptions import Retry
from django.db import OperationalError
from django.utils import timezone

from bestellung import booking, spedition, tasks
from bestellung.models import DeadBooking, Order, Outbox
from bestellung.ordering import place_order
from bestellung.tasks import book_delivery, relay_outbox


class Forwarder:
    """Books once per reference, as the real one does; `fails` are raised, before or after the booking."""

    def __init__(self):
        self.booked, self.calls, self.fails = {}, 0, []

    def __call__(self, reference, **parcel):
        self.calls += 1
        when, exc = self.fails.pop(0) if self.fails else (None, None)
        if when == "before":
            raise exc
        number = self.booked.setdefault(reference, f"H-{len(self.booked) + 1}")
        if when == "after":
            raise exc
        return number


@pytest.fixture
def forwarder(monkeypatch):
    fake = Forwarder()
    monkeypatch.setattr(spedition, "book", fake)
    return fake


def down():
    return spedition.ForwarderUnavailable("HTTP 503")


def run(outbox_id):
    """One delivery. A retry is only asked for, not carried out."""
    with mock.patch.object(book_delivery, "apply_async"), \
         mock.patch.object(book_delivery, "retry", side_effect=lambda **kw: Retry(when=kw["countdown"])) as retry:
        try:
            return book_delivery.run(outbox_id)
        except Retry:
            return retry.call_args.kwargs["countdown"]


def overdue():
    Outbox.objects.update(due_at=timezone.now() - timedelta(seconds=1))


def published():
    with mock.patch.object(book_delivery, "apply_async") as apply_async:
        relay_outbox()
    return [call.kwargs["kwargs"]["outbox_id"] for call in apply_async.call_args_list]


def test_order_is_booked(order, forwarder):
    assert published() == [order.outbox.pk]
    assert run(order.outbox.pk) == "booked"
    order.refresh_from_db()
    assert (order.status, order.consignment) == (Order.Status.BOOKED, "H-1")
    overdue()
    assert published() == []


def test_second_delivery_books_nothing(order, forwarder):
    run(order.outbox.pk)
    assert run(order.outbox.pk) == "done"
    assert forwarder.calls == 1


def test_two_deliveries_at_once(order, forwarder, monkeypatch):
    seen = []

    def slow(reference, **parcel):
        seen.append(run(order.outbox.pk))
        return forwarder(reference, **parcel)

    monkeypatch.setattr(spedition, "book", slow)
    assert run(order.outbox.pk) == "booked"
    assert seen == ["busy"] and forwarder.calls == 1


def test_form_sent_twice_is_one_order(order):
    assert place_order("form-1", "FF Hinterbach", "Am Anger 1", "85000", "C-Schlauch 15 m", 6) == order
    assert Outbox.objects.count() == 1


def test_lost_answer_is_asked_again_under_the_same_reference(order, forwarder):
    forwarder.fails = [("after", down())]
    assert run(order.outbox.pk) == 20
    assert run(order.outbox.pk) == "booked"
    assert list(forwarder.booked) == [order.outbox.reference]


def test_worker_killed_in_the_call(order, forwarder):
    published()
    forwarder.fails = [("after", KeyboardInterrupt())]
    with pytest.raises(KeyboardInterrupt):
        run(order.outbox.pk)
    assert run(order.outbox.pk) == "busy"  # delivered anew at once: the lease still holds
    assert published() == []
    overdue()
    assert published() == [order.outbox.pk]
    assert run(order.outbox.pk) == "booked"
    assert len(forwarder.booked) == 1


def test_a_row_that_kills_every_worker_ends(order, forwarder):
    for _ in range(5):
        overdue()
        forwarder.fails = [("before", KeyboardInterrupt())]
        with pytest.raises(KeyboardInterrupt):
            run(order.outbox.pk)
    overdue()
    assert run(order.outbox.pk) == "dead"
    assert forwarder.calls == 5
    assert DeadBooking.objects.get().reason == "WorkerLost"


def test_five_failures_and_out(order, forwarder, caplog):
    logging.getLogger("bestellung").propagate = True
    forwarder.fails = [("before", down())] * 5
    assert [run(order.outbox.pk) for _ in range(5)] == [20, 40, 80, 160, "dead"]
    assert run(order.outbox.pk) == "dead" and forwarder.calls == 5
    order.refresh_from_db()
    assert order.status == Order.Status.STRANDED and DeadBooking.objects.count() == 1
    assert [r.exc_info is not None for r in caplog.records if "outcome=dead" in r.getMessage()] == [True]
    assert "Am Anger" not in caplog.text


def test_refusal_is_final(order, forwarder):
    forwarder.fails = [("before", spedition.ForwarderRefused("HTTP 422"))]
    assert run(order.outbox.pk) == "dead"
    assert DeadBooking.objects.get().attempts == 1


def test_store_away_after_the_booking(order, forwarder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(booking, "succeed", mock.Mock(side_effect=OperationalError("gone")))
        assert run(order.outbox.pk) == 30
    overdue()
    assert published() == [order.outbox.pk]
    assert run(order.outbox.pk) == "booked"
    assert len(forwarder.booked) == 1


def test_late_failure_does_not_undo(order, forwarder):
    late = booking.begin(order.outbox.pk)
    overdue()
    assert run(order.outbox.pk) == "booked"
    assert not booking.give_back(order.outbox.pk, late.attempt, 20)
    assert not booking.bury(order.outbox.pk, late.attempt, "late")
    assert not DeadBooking.objects.exists()


def test_broker_away(order):
    with mock.patch.object(book_delivery, "apply_async", side_effect=ConnectionError):
        assert relay_outbox() == 0
    assert published() == [order.outbox.pk]


def test_lost_message_is_published_again(order):
    assert published() == [order.outbox.pk]
    assert published() == []
    overdue()
    assert published() == [order.outbox.pk]


@pytest.mark.parametrize("message", [{}, {"outbox_id": "1"}, {"outbox_id": -1}, {"outbox_id": 99}, {"ref": "x"}])
def test_foreign_messages(message, forwarder):
    for _ in range(2):
        book_delivery.run(**message)
    assert DeadBooking.objects.count() == 1 and forwarder.calls == 0


@pytest.mark.parametrize("status, body, outcome", [
    (201, {"consignment": "H-9"}, "H-9"), (409, {"consignment": "H-9"}, "H-9"),
    (200, {}, spedition.ForwarderUnavailable), (429, {}, spedition.ForwarderUnavailable),
    (503, {}, spedition.ForwarderUnavailable), (422, {}, spedition.ForwarderRefused),
])
def test_answers_of_the_forwarder(monkeypatch, status, body, outcome):
    answer = mock.Mock(status_code=status, json=lambda: body)
    monkeypatch.setattr(requests, "post", lambda *a, **kw: answer)
    parcel = dict(brigade="b", street="s", postcode="p", article="a", pieces=1)
    if isinstance(outcome, str):
        assert spedition.book("ZK-1", **parcel) == outcome
    else:
        with pytest.raises(outcome):
            spedition.book("ZK-1", **parcel)
