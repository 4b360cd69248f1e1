from backoffice.adapters.bank import BankRejected, BankUnavailable
from backoffice.entrypoints.actors import pay_instalment
from backoffice.service.release import publish_pending, release
from backoffice.service.unit_of_work import UnitOfWork


def payout(claim_no="C-1001", instalment=1):
    with UnitOfWork() as uow:
        found = uow.payouts.get(claim_no, instalment)
        return found.status, found.payment_id, found.reject_code


def dead():
    with UnitOfWork() as uow:
        return [letter.payload for letter in uow.dead_letters.all()]


def ledger():
    with UnitOfWork() as uow:
        query = "select claim_no, instalment, account, amount_cents from ledger order by id"
        return [tuple(row) for row in uow.session.connection().exec_driver_sql(query)]


def test_pays_and_books(work, fake_bank):
    release("C-1001", 1)
    work()
    assert payout() == ("paid", "pmt-1", None)
    assert ledger() == [("C-1001", 1, "claims-paid", 125000), ("C-1001", 1, "bank", -125000)]
    assert dead() == []


def test_second_delivery_pays_nothing(work, fake_bank):
    for _ in range(2):
        pay_instalment.send(claim_no="C-1001", instalment=1)
    work()
    assert fake_bank.calls == 1
    assert len(ledger()) == 2


def test_instalments_are_two_payments(work, fake_bank):
    release("C-1001", 1)
    release("C-1001", 2)
    work()
    assert len(fake_bank.payments) == 2


def test_bank_is_down_for_a_while(work, fake_bank):
    fake_bank.errors = [BankUnavailable("503"), BankUnavailable("503")]
    release("C-1001", 1)
    work()
    assert payout()[0] == "paid"
    assert fake_bank.calls == 3


def test_bank_stays_down(work, fake_bank):
    fake_bank.errors = [BankUnavailable("503")] * 9
    release("C-1001", 1)
    work()
    assert fake_bank.calls == 5
    assert payout()[0] == "approved"
    assert dead() == ['{"claim_no": "C-1001", "instalment": 1}']


def test_bank_rejects(work, fake_bank):
    fake_bank.errors = [BankRejected("AC04")]
    release("C-1001", 1)
    work()
    assert fake_bank.calls == 1
    assert payout() == ("rejected", None, "AC04")
    assert len(dead()) == 1


def test_poison(work, fake_bank):
    pay_instalment.send()
    pay_instalment.send(claim_no="C-1001", instalment=1, amount_cents=1)
    work()
    assert fake_bank.calls == 0
    assert len(dead()) == 2


def test_release_twice_publishes_once(work, fake_bank):
    release("C-1002", 1)
    release("C-1002", 1)
    publish_pending()
    work()
    assert fake_bank.calls == 1
