from datetime import timedelta

import pytest
from django.utils import timezone

from bookings.actors import issue_refund
from bookings.cancellations import CancellationService
from bookings.gateway import GatewayUnavailable, RefundRejected
from bookings.models import Booking, DeadLetter, Refund
from bookings.refunds import RefundService
from bookings.sweeps import requeue_stalled


def test_a_cancelled_booking_gets_its_money_back(client, booking, gateway, work):
    assert client.post("/bookings/FB-2001/cancel").status_code == 202
    work()
    refund = Refund.objects.get(booking=booking)
    assert (refund.status, refund.provider_ref, refund.amount_cents) == ("paid", "re_1", 4900)
    assert client.get("/bookings/FB-2001").json()["status"] == "refunded"


def test_a_second_message_finds_nothing_to_do(booking, gateway, work):
    CancellationService.cancel("FB-2001")
    issue_refund.send({"booking": "FB-2001"})
    work()
    issue_refund.send({"booking": "FB-2001"})
    work()
    assert len(set(gateway.keys)) == 1
    assert Refund.objects.get().status == "paid"
    assert not DeadLetter.objects.exists()


def test_an_outage_is_waited_out_with_the_same_key(booking, gateway, work):
    gateway.answers = [GatewayUnavailable("HTTP 503"), GatewayUnavailable("timeout"), "re_7"]
    CancellationService.cancel("FB-2001")
    work()
    assert gateway.keys == ["ferryboard-refund-FB-2001"] * 3
    assert Refund.objects.get().provider_ref == "re_7"


def test_a_long_outage_ends_in_a_dead_letter(booking, gateway, work):
    gateway.answers = [GatewayUnavailable("HTTP 503")] * 20
    CancellationService.cancel("FB-2001")
    work()
    assert len(gateway.keys) == 5
    assert Refund.objects.get().status == "failed"
    assert "HTTP 503" in DeadLetter.objects.get().reason


def test_a_rejection_is_not_tried_again(booking, gateway, work):
    gateway.answers = [RefundRejected("HTTP 422")] * 2
    CancellationService.cancel("FB-2001")
    work()
    assert len(gateway.keys) == 1
    assert Refund.objects.get().status == "failed"
    assert DeadLetter.objects.count() == 1


@pytest.mark.parametrize("message", [{}, {"booking": 7}, {"booking": "x"}, {"booking": "FB-9999"}, "FB-2001", None])
def test_a_message_that_is_none_is_buried(message, gateway, work):
    issue_refund.send(message)
    work()
    assert gateway.keys == []
    assert DeadLetter.objects.count() == 1


def test_a_booking_that_still_sails_is_not_refunded(booking, gateway, work):
    issue_refund.send({"booking": "FB-2001"})
    work()
    assert gateway.keys == []
    assert DeadLetter.objects.get().reason.startswith("NotCancelled")


def test_the_sweep_orders_what_was_never_sent(booking, gateway, work):
    booking.status = Booking.Status.CANCELLED
    booking.save()
    Refund.objects.create(booking=booking, amount_cents=4900)
    requeue_stalled()
    work()
    assert gateway.keys == []
    Refund.objects.update(touched_at=timezone.now() - timedelta(minutes=8))
    requeue_stalled()
    work()
    requeue_stalled()
    work()
    assert len(gateway.keys) == 1


@pytest.mark.parametrize(
    "refund, reason",
    [
        ({"tries": RefundService.MAX_TRIES}, "TooManyTries"),
        ({"first_tried_at": timezone.now() - timedelta(days=2)}, "KeyForgotten"),
    ],
)
def test_it_is_given_up_in_the_end(booking, gateway, work, refund, reason):
    booking.status = Booking.Status.CANCELLED
    booking.save()
    Refund.objects.create(booking=booking, amount_cents=4900, **refund)
    issue_refund.send({"booking": "FB-2001"})
    work()
    assert gateway.keys == []
    assert Refund.objects.get().status == "failed"
    assert DeadLetter.objects.get().reason.startswith(reason)
