import json
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import func, select

from parcelbank import payouts
from parcelbank.bank import BankClient
from parcelbank.jobs.payouts import send_payout
from parcelbank.models import DeadLetter, Payout, utcnow
from parcelbank.uow import UnitOfWork

REF = "PO-2026-0001"


def status_error(code):
    request = httpx.Request("POST", "https://bank.test/v1/transfers")
    return httpx.HTTPStatusError(str(code), request=request, response=httpx.Response(code, request=request))


def row(ref=REF):
    with UnitOfWork() as uow:
        return uow.payouts.get(ref)


def dead():
    with UnitOfWork() as uow:
        return uow.session.scalar(select(func.count()).select_from(DeadLetter))


def deliver(**message):
    return send_payout.apply(kwargs=message)


def test_pays_once(fake_bank):
    deliver(payout_ref=REF)
    deliver(payout_ref=REF)
    assert [len(o) for o in fake_bank.orders.values()] == [1]
    assert (row().status, row().bank_ref) == ("paid", "tr-1")


def test_tries_again_when_the_bank_is_down(fake_bank):
    fake_bank.failures = [status_error(503), httpx.ConnectError("no route")]
    deliver(payout_ref=REF)
    assert row().status == "paid" and dead() == 0


def test_parks_after_five_attempts(fake_bank):
    fake_bank.failures = [status_error(503)] * 9
    deliver(payout_ref=REF)
    assert len(fake_bank.failures) == 4
    assert row().status == "parked" and dead() == 1


def test_a_refusal_is_final(fake_bank):
    fake_bank.failures = [status_error(422)] * 9
    deliver(payout_ref=REF)
    deliver(payout_ref=REF)
    assert len(fake_bank.failures) == 8
    assert row().status == "refused" and dead() == 1


@pytest.mark.parametrize("message", [{}, {"payout_ref": 7}, {"payout_ref": REF, "more": 1}, {"payout_ref": "PO-2026-9999"}])
def test_bad_messages_are_buried(fake_bank, message):
    deliver(**message)
    assert dead() == 1 and fake_bank.orders == {} and row().status == "approved"


def test_never_after_the_bank_forgot_the_key(fake_bank):
    with UnitOfWork() as uow:
        uow.payouts.get(REF).first_sent_at = utcnow() - timedelta(hours=30)
        uow.commit()
    deliver(payout_ref=REF)
    assert fake_bank.orders == {} and row().status == "parked"


def test_release_goes_through_the_outbox(published):
    payouts.release(REF)
    payouts.release(REF)
    assert published == [("parcelbank.send_payout", {"payout_ref": REF})]


def test_stuck_payouts_come_back(published):
    payouts.release(REF)
    assert payouts.republish_stuck() == 0
    with UnitOfWork() as uow:
        uow.payouts.get(REF).touched_at = utcnow() - timedelta(minutes=11)
        uow.commit()
    assert payouts.republish_stuck() == 1 and len(published) == 2
    assert payouts.republish_stuck() == 0


def test_the_client_sends_the_key():
    seen = []

    def answer(request):
        seen.append(request)
        return httpx.Response(201, json={"transfer_id": "tr-9"})

    client = BankClient(httpx.Client(base_url="https://bank.test", transport=httpx.MockTransport(answer)))
    got = client.create_transfer(reference=REF, iban="CH1", amount_minor=1, currency="CHF", idempotency_key="k")
    assert got == "tr-9" and seen[0].headers["Idempotency-Key"] == "k"
    assert json.loads(seen[0].content)["reference"] == REF
