import pytest
from huey.storage import MemoryStorage

from kassenwart import bank, manage
from kassenwart.models import database
from kassenwart.queue import huey


@pytest.fixture(autouse=True)
def club(tmp_path, monkeypatch):
    database.init(str(tmp_path / "kasse.db"))
    monkeypatch.setattr(huey, "storage", MemoryStorage("test"))
    manage.demo()


@pytest.fixture
def house_bank(monkeypatch):
    class Bank:
        debits = {}
        calls = []
        errors = []

    Bank.debits, Bank.calls, Bank.errors = {}, [], []

    def submit_debit(self, end_to_end_id, mandate, iban, amount_cents, purpose):
        Bank.calls.append(end_to_end_id)
        if Bank.errors:
            raise Bank.errors.pop(0)
        Bank.debits[end_to_end_id] = amount_cents
        return "ref-" + end_to_end_id

    monkeypatch.setattr(bank.HouseBank, "submit_debit", submit_debit)
    return Bank
