import datetime
import logging

import pytest

from kassenwart import bank, debits, dues, models
from kassenwart.models import DeadDebit, Debit, LedgerLine
from kassenwart.queue import huey
from kassenwart.tasks import collect_debit


def work():
    """Until nothing is left, retries included. The number of runs."""
    runs = 0
    while True:
        tasks = [huey.dequeue()] if huey.pending_count() else huey.read_schedule(datetime.datetime(2999, 1, 1))
        if not tasks:
            return runs
        for task in tasks:
            task.eta = None
            huey.execute(task)
            runs += 1


def test_month(house_bank):
    assert dues.request_month("2026-03") == 3
    work()
    assert house_bank.debits == {
        "BEITRAG-1-2026-03": 1800, "BEITRAG-2-2026-03": 900, "BEITRAG-3-2026-03": 1800,
    }
    assert LedgerLine.select().count() == 3
    assert {d.state for d in Debit.select()} == {"booked"}


def test_command_twice(house_bank):
    dues.request_month("2026-03")
    dues.request_month("2026-03")
    assert work() == 3
    dues.request_month("2026-03")
    assert work() == 0


def test_delivered_twice(house_bank):
    dues.request_debit(1, "2026-03")
    collect_debit(member_id=1, month="2026-03")
    work()
    assert len(house_bank.calls) == 1 and LedgerLine.select().count() == 1


def test_bank_away_for_a_while(house_bank):
    house_bank.errors = [bank.BankUnreachable("Timeout")] * 2
    dues.request_debit(1, "2026-03")
    assert work() == 3
    assert LedgerLine.get().bank_reference == "ref-BEITRAG-1-2026-03"


def test_moves_to_the_dead_after_five(house_bank):
    house_bank.errors = [bank.BankUnreachable("Timeout")] * 20
    dues.request_debit(1, "2026-03")
    assert work() == 5
    assert DeadDebit.get().key == "1:2026-03" and Debit.select().count() == 0
    dues.request_debit(1, "2026-03")
    collect_debit(member_id=1, month="2026-03")
    work()
    assert len(house_bank.calls) == 5 and DeadDebit.select().count() == 1


def test_returned(house_bank):
    house_bank.errors = [bank.DebitReturned("Client.AC04")]
    dues.request_debit(1, "2026-03")
    assert work() == 1
    assert DeadDebit.get().reason == "DebitReturned: Client.AC04"


@pytest.mark.parametrize(
    "message", [{}, {"member_id": 1}, {"member_id": "1", "month": "2026-03"}, {"member_id": 1, "month": "2026-13"}]
)
def test_malformed(house_bank, message):
    collect_debit(**message)
    collect_debit(**message)
    work()
    assert DeadDebit.select().count() == 1 and house_bank.calls == []


def test_stray_message_does_not_block_the_debit(house_bank):
    collect_debit(member_id=1, month="2026-03")
    work()
    assert DeadDebit.get().key == "stray:1:2026-03"
    dues.request_debit(1, "2026-03")
    work()
    assert LedgerLine.select().count() == 1


def test_sweep(house_bank, monkeypatch):
    dues.request_debit(1, "2026-03")
    huey.dequeue()
    debits.start(1, "2026-03")
    dues.sweep_debits()
    assert work() == 0
    later = models.now() + datetime.timedelta(minutes=30)
    monkeypatch.setattr(debits, "now", lambda: later)
    dues.sweep_debits()
    assert work() == 1
    assert LedgerLine.select().count() == 1


def test_started_too_often(house_bank):
    dues.request_debit(1, "2026-03")
    Debit.update(starts=debits.MAX_STARTS).execute()
    work()
    assert DeadDebit.select().count() == 1 and house_bank.calls == []


def test_late_answer_brings_a_dead_debit_back(house_bank):
    dues.request_debit(1, "2026-03")
    debit = debits.start(1, "2026-03")
    debits.give_up({"member_id": 1, "month": "2026-03"}, "x")
    assert debits.book(debit, "ref")
    assert DeadDebit.select().count() == 0 and Debit.get().state == "booked"


def test_booked_is_not_given_up(house_bank):
    dues.request_debit(1, "2026-03")
    work()
    assert not debits.give_up({"member_id": 1, "month": "2026-03"}, "x")


def test_log_names_nobody(house_bank, caplog):
    with caplog.at_level(logging.INFO, "kassenwart"):
        dues.request_month("2026-03")
        work()
    assert "key=1:2026-03 attempt=1 outcome=booked" in caplog.text
    assert "Jutta" not in caplog.text and "DE02" not in caplog.text


def test_client(monkeypatch):
    class Answer:
        ok, status_code = True, 200
        content = b'<E><r:Reference xmlns:r="urn:hausbank:sepa:2">R-9</r:Reference></E>'

    monkeypatch.setattr(bank.requests, "post", lambda *a, **k: Answer)
    assert bank.HouseBank().submit_debit("e", "m", "i", 1, "p") == "R-9"
    Answer.content = (
        b'<E><s:Fault xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
        b"<faultcode>Client.AC04</faultcode></s:Fault></E>"
    )
    with pytest.raises(bank.DebitReturned):
        bank.HouseBank().submit_debit("e", "m", "i", 1, "p")
