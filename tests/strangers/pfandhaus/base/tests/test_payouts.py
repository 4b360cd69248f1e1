from datetime import timedelta

import pytest

from pfandhaus.bank import BankUnavailable, PaymentRejected


def loan(db, loan_id=1):
    return db.execute("select status, bank_reference from loans where id = %s", (loan_id,)).fetchone()


def count(db, table):
    return db.execute(f"select count(*) from {table}").fetchone()[0]


def test_pays_an_approved_loan_once(db, bank, work):
    from pfandhaus import desk

    desk.approve(1)
    desk.approve(1)
    assert count(db, "procrastinate_jobs") == 1
    work()
    desk.approve(1)
    work()
    assert loan(db) == ("paid", "BK-1") and count(db, "ledger") == 1
    assert list(bank.paid.values()) == [42000] and len(bank.asked) == 1


def test_an_offered_loan_is_left_alone(db, bank, work):
    from pfandhaus import queue

    queue.put(2)
    work()
    assert loan(db, 2) == ("offered", None) and not bank.asked


def test_asks_again_under_the_same_id(db, bank, work):
    from pfandhaus import desk

    bank.trouble = [BankUnavailable("HTTP 503"), BankUnavailable("ReadTimeout")]
    desk.approve(1)
    for _ in range(3):
        work()
    assert loan(db)[0] == "paid" and len(bank.asked) == 3 and len(set(bank.asked)) == 1
    assert count(db, "dead_letters") == 0


def test_five_attempts_then_a_dead_letter(db, bank, work):
    from pfandhaus import desk

    bank.trouble = [BankUnavailable("HTTP 503") for _ in range(9)]
    desk.approve(1)
    for _ in range(7):
        work()
    assert len(bank.asked) == 5 and loan(db)[0] == "failed"
    assert db.execute("select key, reason, attempt from dead_letters").fetchall() == [
        ("1", "BankUnavailable: HTTP 503", 5)
    ]
    bank.trouble.clear()
    desk.reopen(1)
    work()
    assert loan(db)[0] == "paid" and count(db, "dead_letters") == 0 and len(set(bank.asked)) == 1


def test_a_rejection_is_final(db, bank, work):
    from pfandhaus import desk

    bank.trouble = [PaymentRejected("HTTP 422")]
    desk.approve(1)
    work()
    work()
    assert len(bank.asked) == 1 and loan(db)[0] == "failed" and count(db, "dead_letters") == 1


@pytest.mark.parametrize("message", [{}, {"loan_id": "1"}, {"loan_id": 404}, {"loan_id": 1, "express": True}])
def test_bad_messages_leave_a_dead_letter(db, bank, work, message):
    from procrastinate import App, SyncPsycopgConnector

    from pfandhaus import settings

    with App(connector=SyncPsycopgConnector(conninfo=settings.DSN)).open() as publisher:
        publisher.configure_task("pay_out_loan", queue="payouts").defer(**message)
    work()
    assert not bank.asked and count(db, "dead_letters") == 1


def test_upkeep_queues_what_was_left_behind(db, bank, work):
    from pfandhaus import desk

    desk.approve(1)
    db.execute("delete from procrastinate_jobs")
    desk.queue_left_behind()
    assert count(db, "procrastinate_jobs") == 0
    db.execute("update loans set queued_at = queued_at - %s", (timedelta(hours=1),))
    desk.queue_left_behind()
    work()
    assert loan(db)[0] == "paid"
