import httpx
import pytest
from kombu.exceptions import OperationalError
from sqlalchemy import func, select

from clearpay import approvals, bank, payouts
from clearpay.models import Claim, DeadLetter, Payout, Posting, Session
from clearpay.tasks import pay_claim


@pytest.fixture
def orders(monkeypatch):
    """What the bank was asked for; answers is what it says, in turn, and success after that."""
    seen = []

    def pay(self, *, iban, amount_cents, idempotency_key):
        seen.append((iban, amount_cents, idempotency_key))
        if pay.answers:
            raise pay.answers.pop(0)
        return "BK-7"

    pay.answers = []
    seen_answers = pay.answers
    monkeypatch.setattr(bank.BankClient, "pay", pay)
    return seen, seen_answers


def count(model):
    with Session() as db:
        return db.scalar(select(func.count()).select_from(model))


def status():
    with Session() as db:
        return db.get(Claim, 1).status, db.get(Payout, 1).status


def test_pays_once(orders, published):
    approvals.approve(1)
    assert published == [{"claim_id": 1}]
    pay_claim.apply(kwargs={"claim_id": 1})
    pay_claim.apply(kwargs={"claim_id": 1})
    assert orders[0] == [("CH9300762011623852957", 12450, "CP-1")]
    assert status() == ("paid", "paid") and count(Posting) == 3


def test_repeats_under_the_same_key(orders, published):
    approvals.approve(1)
    orders[1].extend([bank.BankUnavailable("503"), bank.AlreadyExecuted("BK-7")])
    pay_claim.apply(kwargs={"claim_id": 1})
    assert {key for _, _, key in orders[0]} == {"CP-1"} and len(orders[0]) == 2
    assert status() == ("paid", "paid")


def test_gives_up_after_six(orders, published):
    approvals.approve(1)
    orders[1].extend([bank.BankUnavailable("503")] * 9)
    pay_claim.apply(kwargs={"claim_id": 1})
    assert len(orders[0]) == 6 and count(DeadLetter) == 1 and status() == ("approved", "failed")


def test_refused_is_final(orders, published):
    approvals.approve(1)
    orders[1].append(bank.BankRejected("422 AC04"))
    pay_claim.apply(kwargs={"claim_id": 1})
    pay_claim.apply(kwargs={"claim_id": 1})
    assert len(orders[0]) == 1 and count(DeadLetter) == 1
    approvals.revive(1)
    pay_claim.apply(kwargs={"claim_id": 1})
    assert status() == ("paid", "paid") and count(DeadLetter) == 0


def test_bad_message(orders, published):
    pay_claim.apply(kwargs={"claim_id": "one"})
    pay_claim.apply(kwargs={"claim_id": "one"})
    assert not orders[0] and count(DeadLetter) == 1


def test_broker_away(orders, monkeypatch):
    def away(**_):
        raise OperationalError("redis is away")

    with monkeypatch.context() as m:
        m.setattr(pay_claim, "apply_async", away)
        approvals.approve(1)
    sent = []
    monkeypatch.setattr(pay_claim, "apply_async", lambda **options: sent.append(options))
    assert approvals.publish_due() == 1 and len(sent) == 1 and approvals.publish_due() == 0


def test_client_reads_answers():
    def ask(status, json):
        client = bank.BankClient(httpx.MockTransport(lambda request: httpx.Response(status, json=json)))
        return client.pay(iban="CH1", amount_cents=1, idempotency_key="k")

    assert ask(201, {"payment_id": "BK-1"}) == "BK-1"
    for status_code, error in ((503, bank.BankUnavailable), (422, bank.BankRejected)):
        with pytest.raises(error):
            ask(status_code, {"code": "X"})
    with pytest.raises(bank.AlreadyExecuted):
        ask(409, {"payment_id": "BK-1"})
