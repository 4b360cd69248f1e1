import json
import logging
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from gymnote import outbox
from gymnote.cards import CardDeclined, CardsDown
from gymnote.db import DeadJob, Dunning, Invoice, Session, utcnow
from gymnote.dunning import MAX_STARTS
from gymnote.logs import JsonFormatter
from gymnote.postmaster import MailRefused, PostmasterDown
from gymnote.queue import huey
from gymnote.tasks import dun_member
from gymnote.web import create_app


def invoice(number=1):
    with Session() as session:
        found = session.get(Invoice, number)
        return found.state, found.member.standing


def dunning(number=1):
    with Session() as session:
        return session.get(Dunning, number).state


def dead():
    with Session() as session:
        return session.scalar(select(func.count()).select_from(DeadJob))


def change(**values):
    with Session.begin() as session:
        session.execute(update(Dunning).values(**values))


def test_from_the_desk_to_the_receipt(world, work):
    client = create_app().test_client()
    assert client.post("/invoices/1/dun").status_code == 202
    assert client.post("/invoices/9/dun").status_code == 404
    assert invoice() == ("open", "dunned")
    work()
    assert invoice() == ("settled", "good")
    assert client.get("/invoices/1").json["state"] == "settled"
    assert world.charges == {"dues-1": "ch_card_1"}
    assert list(world.mails) == ["dues-receipt-1"]
    assert dunning() == "done"


def test_all_that_is_overdue(work, world):
    create_app().test_cli_runner().invoke(args=["dun-overdue"])
    work()
    assert len(world.charges) == len(world.mails) == 3


def test_twice(world, work):
    outbox.start(1)
    dun_member(invoice_id=1)
    work()
    outbox.start(1)
    dun_member(invoice_id=1)
    work()
    assert (world.calls, len(world.mails), dead()) == (1, 1, 0)


def test_outages_are_waited_out(world, work):
    world.cards, world.post = [CardsDown("timeout")] * 2, [PostmasterDown("503")] * 2
    outbox.start(1)
    work()
    assert invoice() == ("settled", "good")
    assert (len(world.charges), world.calls) == (1, 3)


def test_an_endless_outage_is_buried(world, work, caplog):
    world.cards = [CardsDown("timeout")] * 99
    outbox.start(1)
    work()
    assert len(world.cards) == 94
    assert (invoice(), dunning(), dead()) == (("unpaid", "blocked"), "dead", 1)
    assert [r.levelname for r in caplog.records if "failed" in r.message and r.name == "gymnote.tasks"] == ["WARNING"] * 4 + ["ERROR"]


def test_the_receipt_cannot_be_sent(world, work):
    world.post = [MailRefused("no such box")]
    outbox.start(1)
    work()
    assert (invoice(), dunning(), dead()) == (("charged", "dunned"), "dead", 1)


def test_declined(world, work):
    world.cards = [CardDeclined("insufficient funds")] * 9
    outbox.start(1)
    work()
    assert len(world.cards) == 8
    assert (invoice(), dead()) == (("unpaid", "blocked"), 1)


@pytest.mark.parametrize("message", [{}, {"invoice_id": "1"}, {"invoice_id": 0}, {"invoice_id": 1, "again": True}, {"invoice_id": 99}])
def test_bad_messages(message, world, work):
    outbox.start(1)
    dun_member(**message)
    work()
    assert dead() == 1
    assert invoice() == ("settled", "good")


def test_a_worker_died_with_the_task(world, work):
    outbox.start(1)
    assert huey.dequeue()
    outbox.rescue_stuck()
    assert huey.pending_count() == 0
    change(touched_at=utcnow() - timedelta(minutes=9))
    outbox.rescue_stuck()
    work()
    assert invoice() == ("settled", "good")
    change(touched_at=utcnow() - timedelta(minutes=9))
    outbox.rescue_stuck()
    assert huey.pending_count() == 0


def test_the_queue_was_away(world, work, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(huey, "enqueue", lambda task: 1 / 0)
        outbox.start(1)
    assert dunning() == "pending"
    outbox.publish_pending()
    work()
    assert dunning() == "done"


@pytest.mark.parametrize("values", [{"starts": MAX_STARTS}, {"first_start": utcnow() - timedelta(days=2)}])
def test_given_up(world, work, values):
    outbox.start(1)
    change(**values)
    work()
    assert (world.calls, dunning(), dead()) == (0, "dead", 1)


def test_log_lines_are_json():
    record = logging.makeLogRecord({"msg": "failed", "reason": "x", "levelname": "ERROR"})
    assert json.loads(JsonFormatter().format(record))["reason"] == "x"
