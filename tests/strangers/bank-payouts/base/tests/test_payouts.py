import os
import tempfile

import pytest

os.environ["PAYOUTS_DB"] = "sqlite:///" + tempfile.mkdtemp() + "/test.db"
from bank_payouts import outbox, rail, schema, service, tasks  # noqa: E402
from bank_payouts.models import Base  # noqa: E402
from bank_payouts.uow import UnitOfWork, engine  # noqa: E402

ORDER = {"payout_id": "po-1", "account_id": "ac-1", "amount_cents": 1500, "iban": "DE89370400440532013000"}


@pytest.fixture(autouse=True)
def database():
    Base.metadata.drop_all(engine)
    schema.main()


@pytest.fixture
def calls(monkeypatch):
    made = []
    monkeypatch.setattr(rail, "transfer", lambda **kw: made.append(kw) or "rail-77")
    return made


def payout(payout_id="po-1"):
    with UnitOfWork() as uow:
        return uow.payouts.get(payout_id)


def balance():
    with UnitOfWork() as uow:
        return uow.accounts.get("ac-1").balance_cents


def test_sends_once_and_books_once(calls):
    tasks.send_payout.apply(args=[ORDER])
    tasks.send_payout.apply(args=[ORDER])
    assert [c["idempotency_key"] for c in calls] == ["payout:po-1"]
    assert payout().status == "sent" and balance() == 498_500


def test_rejection_is_final(monkeypatch):
    tries = []

    def refuse(**kw):
        tries.append(kw)
        raise rail.RailRejected("closed account")

    monkeypatch.setattr(rail, "transfer", refuse)
    tasks.send_payout.apply(args=[ORDER])
    assert len(tries) == 1 and payout().status == "rejected" and balance() == 500_000


def test_invalid_order_is_buried():
    tasks.send_payout.apply(args=[{"payout_id": "po-1"}])
    with UnitOfWork() as uow:
        assert "InvalidOrder" in uow.dead_letters.get(1).error


def test_outbox_is_emptied(monkeypatch):
    sent = []
    monkeypatch.setattr(tasks.send_payout, "apply_async", lambda args: sent.append(args[0]))
    service.request_payout(**ORDER)
    service.request_payout(**ORDER)
    outbox.publish_pending()
    assert sent == [ORDER]
