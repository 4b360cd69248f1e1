import pytest
from sqlalchemy import select

from ticketbay import orders, tasks
from ticketbay.db import Session
from ticketbay.gateway import AlreadyRefunded, CardDeclined, GatewayDown, GatewayTimeout
from ticketbay.models import FailedSettlement, Order
from ticketbay.tasks import settle_order


def order(order_id):
    with Session() as session:
        return session.get(Order, order_id)


def letters():
    with Session() as session:
        return session.scalars(select(FailedSettlement)).all()


def settle(**kwargs):
    return settle_order.apply(kwargs=kwargs)


def test_placed_is_charged_once(gateway):
    settle(order_id=1)
    settle(order_id=1)
    assert gateway.calls == ["charge-1"]
    assert (order(1).status, order(1).charge_id) == ("paid", "ch_1")


def test_cancelled_after_payment_is_refunded(gateway):
    settle(order_id=2)
    assert gateway.calls == ["refund-2"]
    assert order(2).status == "refunded"


def test_already_refunded_counts_as_done(gateway):
    gateway.raises = [AlreadyRefunded("rf_dash")]
    settle(order_id=2)
    assert (order(2).status, order(2).refund_id, letters()) == ("refunded", "rf_dash", [])


def test_retries_with_the_same_key(gateway):
    gateway.raises = [GatewayDown("503"), GatewayTimeout("slow")]
    settle(order_id=1)
    assert gateway.calls == ["charge-1"] * 3
    assert order(1).status == "paid"


def test_gives_up_after_five_attempts(gateway):
    gateway.raises = [GatewayDown("503")] * 9
    settle(order_id=1)
    assert len(gateway.calls) == 5
    assert order(1).status == "attention"
    assert [(l.order_id, l.error) for l in letters()] == [(1, "GatewayDown('503')")]


def test_declined_is_not_retried(gateway):
    gateway.raises = [CardDeclined("no funds")]
    settle(order_id=1)
    assert len(gateway.calls) == 1
    assert order(1).status == "declined" and len(letters()) == 1


@pytest.mark.parametrize("message", [{}, {"order_id": "one"}, {"order_id": 0}, {"order_id": 1, "x": 1}, {"order_id": 77}])
def test_bad_messages_are_recorded(gateway, message):
    settle(**message)
    assert gateway.calls == [] and len(letters()) == 1


class Killed(BaseException):
    pass


def test_killed_workers(gateway):
    gateway.raises = [Killed() for _ in range(5)]
    for _ in range(5):
        with pytest.raises(Killed):
            settle(order_id=1)
    settle(order_id=1)
    assert len(gateway.calls) == 5
    assert order(1).status == "attention" and len(letters()) == 1


def test_checkout_publishes_after_commit(monkeypatch):
    seen = []
    monkeypatch.setattr(settle_order, "apply_async", lambda kwargs: seen.append((kwargs, order(1).status)))
    orders.checkout(1)
    assert seen == [({"order_id": 1}, "placed")]
    assert orders.publish_pending() == 0


def test_relay_publishes_what_was_left(monkeypatch):
    sent = []
    monkeypatch.setattr(settle_order, "apply_async", lambda kwargs: sent.append(kwargs["order_id"]))
    assert orders.publish_pending() == 1 and sent == [1]


def test_no_cancel_while_charging(gateway):
    tasks.claim(1)
    with pytest.raises(orders.NotPossible):
        orders.cancel(1)


def test_a_late_answer_wins_over_a_delivery_that_gave_up(gateway):
    taken = tasks.claim(1)
    gateway.raises = [GatewayDown("503")] * 5
    settle(order_id=1)
    assert order(1).status == "attention"
    assert tasks.charge(taken).status == "paid"


def test_cancelled_by_hand_under_the_charge(gateway, monkeypatch):
    charge = gateway.charge

    def slow(*args, **kwargs):
        with Session.begin() as session:
            session.get(Order, 1).status = "cancelled"
        return charge(*args, **kwargs)

    monkeypatch.setattr(gateway, "charge", slow)
    settle(order_id=1)
    assert gateway.calls == ["charge-1", "refund-1"]
    assert order(1).status == "refunded"


def test_positional_message_is_recorded(gateway):
    settle_order.apply(args=[1])
    assert gateway.calls == [] and len(letters()) == 1
