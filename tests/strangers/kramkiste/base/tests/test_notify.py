import asyncio
import smtplib

import pytest
from arq import Retry

from kramkiste import db, hooks, mail, shop, worker


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch):
    monkeypatch.setenv("KRAMKISTE_DB", str(tmp_path / "t.db"))
    db.setup()
    out = {"mails": [], "hooks": [], "queue": [], "fail": []}

    class Pool:
        async def enqueue_job(self, name, _job_id=None, **message):
            out["queue"].append(message)

        async def aclose(self):
            pass

    async def create_pool(settings):
        return Pool()

    def send(*args):
        if out["fail"]:
            raise out["fail"].pop(0)
        out["mails"].append(args)

    async def deliver(url, secret, event, event_id):
        out["hooks"].append(event_id)

    monkeypatch.setattr(shop, "create_pool", create_pool)
    monkeypatch.setattr(mail, "send", send)
    monkeypatch.setattr(hooks, "deliver", deliver)
    return out


def run(n=1, **message):
    try:
        asyncio.run(worker.notify_sale({"job_try": n, "job_id": "t"}, **message))
    except Retry as e:
        return e.defer_score / 1000


def one(sql):
    with db.tx() as c:
        return c.execute(sql).fetchone()[0]


def test_told_once(world):
    asyncio.run(shop.sell(1))
    assert world["queue"] == [{"order_id": 1}]
    run(order_id=1)
    run(order_id=1)
    assert len(world["mails"]) == 1 and world["hooks"] == ["sale-1"]
    assert one("select sales from sellers where id = 1") == 1


def test_tries_again_and_gives_up(world):
    asyncio.run(shop.sell(1))
    world["fail"] = [smtplib.SMTPServerDisconnected("gone") for _ in range(9)]
    assert [run(n, order_id=1) for n in (1, 2, 3, 4, 5)] == [10, 40, 160, 600, None]
    assert one("select status from notices") == "dead" and one("select count(*) from dead_letters") == 1


def test_refused(world):
    asyncio.run(shop.sell(1))
    world["fail"] = [smtplib.SMTPRecipientsRefused({"mira@example.org": (550, b"no")})]
    assert run(order_id=1) is None
    assert one("select reason from dead_letters") == "SMTPRecipientsRefused"


def test_bad_messages(world):
    for message in ({}, {"order_id": "1"}, {"order_id": 0}, {"order_id": 1, "x": 2}):
        run(**message)
    assert one("select count(*) from dead_letters") == 4 and not world["mails"]


def test_signature():
    assert hooks.sign("k", b"{}").startswith("sha256=") and hooks.sign("k", b"{}") != hooks.sign("l", b"{}")
