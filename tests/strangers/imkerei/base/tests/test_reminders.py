import smtplib
from datetime import timedelta

import pytest

from imkerei import dunning, reminders, tasks
from imkerei.models import DeadLetter, Order, Reminder, now

FIRST = "<bestellung-1.erinnerung-1@imkerei-lindental.example>"


def state():
    return Reminder.get(reminders.this(1, 1)).state


def test_the_morning_round_reminds_each_overdue_order_once(relay, work):
    assert dunning.remind_overdue() == 1
    work()
    assert relay.mails == [("a@example.org", FIRST)]
    assert (state(), Order.get_by_id(1).reminded) == ("sent", 1)
    dunning.remind_overdue()
    work()
    assert len(relay.mails) == 1


def test_delivered_twice(relay, work):
    tasks.send_reminder(order_id=1, number=1)
    tasks.send_reminder(order_id=1, number=1)
    work()
    assert len(relay.mails) == 1


def test_the_claim_keeps_another_task_waiting(relay):
    reminders.claim(1, 1)
    with pytest.raises(reminders.Claimed):
        tasks.send(1, 1)
    assert relay.mails == []


def test_a_claim_that_ran_out_is_taken_over(relay, work):
    reminders.claim(1, 1)
    Reminder.update(claimed_until=now() - timedelta(seconds=1), touched_at=now() - timedelta(hours=1)).execute()
    assert dunning.chase() == 1
    work()
    assert state() == "sent"


def test_relay_away_for_a_while(relay, work):
    relay.errors = [ConnectionRefusedError(), smtplib.SMTPServerDisconnected("bye")]
    dunning.remind(1, 1)
    assert work() == 3
    assert (state(), len(relay.mails), DeadLetter.select().count()) == ("sent", 1, 0)


def test_relay_away_for_long(relay, work):
    relay.errors = [TimeoutError()] * 9
    dunning.remind(1, 1)
    assert work() == 5
    assert (state(), DeadLetter.get().subject) == ("failed", "1/1")


def test_refused_address(relay, work):
    relay.errors = [smtplib.SMTPRecipientsRefused({"a@example.org": (550, b"no such user")})]
    dunning.remind(1, 1)
    assert work() == 1
    assert (state(), DeadLetter.select().count()) == ("failed", 1)


def test_paid_before_the_mail(relay, work):
    dunning.remind(1, 1)
    Order.update(state="paid").where(Order.id == 1).execute()
    work()
    assert (relay.mails, state()) == ([], "dropped")


@pytest.mark.parametrize("message", [{}, {"order_id": 1}, {"order_id": "1", "number": 1}, {"order_id": 1, "number": 9},
                                     {"order_id": 99, "number": 1}, {"order_id": 1, "number": 1, "x": 2}])
def test_bad_messages(relay, work, message):
    tasks.send_reminder(**message)
    assert work() == 1
    assert (relay.mails, DeadLetter.select().count()) == ([], 1)


def test_queue_away(relay, work, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(tasks.huey, "enqueue", lambda task: 1 / 0)
        dunning.remind(1, 1)
    assert dunning.queue_planned() == 1
    work()
    assert state() == "sent"


def test_claimed_too_often(relay, work):
    reminders.claim(1, 1)
    Reminder.update(claims=reminders.MAX_CLAIMS, claimed_until=None).execute()
    tasks.send_reminder(order_id=1, number=1)
    work()
    assert (state(), relay.mails) == ("failed", [])
