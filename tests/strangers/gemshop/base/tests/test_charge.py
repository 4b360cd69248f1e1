import pytest
from dramatiq.broker import MessageProxy
from sqlalchemy import select

from gemshop import kiosk, ledger
from gemshop.actors import charge_order, worth_another_try
from gemshop.broker import broker
from gemshop.db import ChargeAttempt, FailedJob, Order, Player, Session
from gemshop.middleware import FailedJobs
from gemshop.paygate import Declined, Unavailable


def row(model, key):
    with Session() as session:
        return session.get(model, key)


def test_charges_and_credits_once(captures):
    charge_order.fn(order_id="K-1001")
    charge_order.fn(order_id="K-1001")
    assert len(captures.calls) == 1
    assert captures.calls[0]["amount"] == 499
    assert row(Order, "K-1001").status == "paid"
    assert row(Player, 1).gems == 540


def test_credit_of_a_second_delivery_at_once():
    first, second = ledger.begin("K-1001"), ledger.begin("K-1001")
    assert ledger.credit(first, "cap_1") and not ledger.credit(second, "cap_1")
    assert row(Player, 1).gems == 540


def test_captured_in_vain():
    charge = ledger.begin("K-1001")
    with Session.begin() as session:
        session.get(Order, "K-1001").status = "failed"
    with pytest.raises(ledger.CapturedInVain):
        ledger.credit(charge, "cap_1")
    assert row(Player, 1).gems == 40


def test_outage_leaves_a_closed_attempt(captures):
    captures.trouble = [Unavailable("HTTP 503")]
    with pytest.raises(Unavailable):
        charge_order.fn(order_id="K-1001")
    with Session() as session:
        assert "503" in session.scalars(select(ChargeAttempt)).one().outcome


def test_what_is_tried_again():
    assert worth_another_try(0, Unavailable("HTTP 503"))
    assert not worth_another_try(0, Declined("insufficient_funds"))
    assert not worth_another_try(0, TypeError("order_id"))


@pytest.mark.parametrize("kwargs, order_id", [
    ({"order_id": "K-1001"}, "K-1001"), ({"order_id": 1001}, None), ({}, None),
    ({"order_id": "K-1001", "gems": 9}, None),
])
def test_records_what_failed(kwargs, order_id):
    message = MessageProxy(charge_order.message_with_options(kwargs=kwargs))
    message.fail()
    FailedJobs().after_process_message(broker, message, exception=Declined("insufficient_funds"))
    assert row(FailedJob, message.message_id).reason == "Declined: insufficient_funds"
    assert row(FailedJob, message.message_id).order_id == order_id
    assert row(Order, "K-1001").status == ("failed" if order_id else "confirmed")


def test_death_after_death():
    for _ in range(ledger.MAX_DEATHS):
        ledger.begin("K-1001")
    with pytest.raises(ledger.WorkerKeepsDying):
        ledger.begin("K-1001")


def test_kiosk_publishes(monkeypatch):
    sent = []
    monkeypatch.setattr(charge_order, "send", lambda **kwargs: sent.append(kwargs))
    kiosk.purchase_confirmed("K-2001", 7, "gems-100")
    assert sent == [{"order_id": "K-2001"}]
    assert row(Order, "K-2001").cents == 119
