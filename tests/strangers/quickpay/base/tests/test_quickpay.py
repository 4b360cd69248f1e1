import time
from types import SimpleNamespace

import fakeredis
import pytest
import requests

import app
import db
import jobs
import payments
import slack


def http(status):
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(str(status), response=response)


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setenv("APP_DB", str(tmp_path / "app.db"))
    db.init()
    w = SimpleNamespace(charges={}, calls=[], told=[], enqueued=[], charge_fails=[], lost=[], slack_fails=[], job="j1", now=time.time())

    def charge(customer, amount, key):
        w.calls.append(key)
        if w.charge_fails:
            raise w.charge_fails.pop(0)
        w.charges[key] = amount
        if w.lost:
            raise w.lost.pop(0)
        return "ch_1"

    def notify(text):
        if w.slack_fails:
            raise w.slack_fails.pop(0)
        w.told.append(text)

    w.redis = fakeredis.FakeRedis()
    monkeypatch.setattr(jobs, "redis", w.redis)
    monkeypatch.setattr(jobs, "enqueue", w.enqueued.append)
    monkeypatch.setattr(jobs, "get_current_job", lambda: SimpleNamespace(id=w.job))
    monkeypatch.setattr(jobs.time, "time", lambda: w.now)
    monkeypatch.setattr(payments, "charge", charge)
    monkeypatch.setattr(slack, "notify", notify)
    app.place(1, "cus_ada", 4900)
    w.status = lambda: rows("select status from orders where id = 1")[0][0]
    w.dead = lambda: [tuple(r) for r in rows("select order_id, reason from dead_jobs")]
    return w


def rows(sql):
    with db.tx() as con:
        return con.execute(sql).fetchall()


def run(order_id=1, times=1):
    for _ in range(times):
        try:
            jobs.charge_order(order_id=order_id)
        except (requests.RequestException, KeyboardInterrupt):
            pass


def test_happy(world):
    run(times=3)
    assert (world.calls, len(world.told), world.status()) == (["order-1"], 1, "done")


def test_web(world):
    web = app.app.test_client()
    assert web.post("/orders/5/pay", json={"customer": "cus_bob", "amount": 100}).status_code == 202
    assert world.enqueued == [1, 5]
    assert web.get("/orders/5").json == {"id": 5, "status": "queued"}


def test_payments_down_for_good(world):
    world.charge_fails = [http(503)] * 9
    run(times=9)
    assert (len(world.calls), world.status(), len(world.dead())) == (5, "dead", 1)


def test_lost_answer(world):
    world.lost = [requests.Timeout()]
    run(times=2)
    assert (len(world.calls), world.charges, world.status()) == (2, {"order-1": 4900}, "done")


def test_hopeless_and_declined(world):
    world.charge_fails = [http(422)]
    run(times=2)
    assert (len(world.calls), world.status()) == (1, "dead")
    app.place(2, "cus_bob", 100)
    world.charge_fails = [payments.Declined("no funds")]
    run(2, times=2)
    assert [r[0] for r in rows("select status from orders where id = 2")] == ["declined"]
    assert len(world.dead()) == 1


def test_slack_down(world):
    world.slack_fails = [requests.ConnectionError()] * 2
    run(times=3)
    assert (len(world.calls), len(world.told), world.status()) == (1, 1, "done")


def test_shot_in_the_middle(world):
    world.lost = [KeyboardInterrupt()]
    run(times=2)
    assert (len(world.charges), world.status()) == (1, "done")


def test_shot_every_time(world):
    world.lost = [KeyboardInterrupt()] * 99
    run(times=20)
    assert (len(world.calls), world.status(), len(world.dead())) == (5, "dead", 1)


def test_two_jobs_for_one_order(world):
    world.charge_fails = [http(503)]
    run()
    world.job = "j2"
    run(times=3)
    assert len(world.calls) == 1  # j1 waits for its retry
    world.job = "j1"
    run()
    assert world.status() == "done"


def test_sweep(world):
    jobs.sweep()
    assert world.enqueued == [1]
    world.lost = [KeyboardInterrupt()]
    run()
    world.now += 600
    world.redis.delete("charge:1")  # expired
    jobs.sweep()
    jobs.sweep()
    assert world.enqueued == [1, 1]
    world.job = "j2"
    run()
    assert (world.charges, world.status()) == ({"order-1": 4900}, "done")


def test_key_forgotten(world):
    world.lost = [requests.Timeout()]
    run()
    world.now += 3 * 86400
    run()
    assert (len(world.calls), world.status()) == (1, "dead")


@pytest.mark.parametrize("bad", [None, -1, "one", 77, {"a": 1}])
def test_poison(world, bad):
    run(bad, times=2)
    assert len(world.dead()) == 1 and world.calls == []
