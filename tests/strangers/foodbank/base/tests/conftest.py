import dramatiq
import httpx
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Retries

from foodbank import bus, conf, dock, jobs, schema, sms


@pytest.fixture(autouse=True)
def database(tmp_path, monkeypatch):
    monkeypatch.setattr(conf, "DB", str(tmp_path / "food.db"))
    schema.create(demo=True)


@pytest.fixture
def partners(monkeypatch):
    """Both partners, and what they were asked. Put exceptions or status codes into dock_says and sms_says."""

    class Partners:
        booked, texted, dock_says, sms_says = [], [], [], []

    them = Partners()
    them.booked, them.texted, them.dock_says, them.sms_says = [], [], [], []

    def post(client, url, *, json, headers):
        them.booked.append((headers["Idempotency-Key"], json))
        says = them.dock_says.pop(0) if them.dock_says else 201
        if isinstance(says, Exception):
            raise says
        return httpx.Response(says, json={"slot_id": "sl-7", "from": "08:30"}, request=httpx.Request("POST", "http://dock/slots"))

    def send(gateway, to, text, reference):
        them.texted.append((to, reference))
        if them.sms_says:
            raise them.sms_says.pop(0)
        return "m-9"

    monkeypatch.setattr(dock.httpx.Client, "post", post)
    monkeypatch.setattr(sms.Gateway, "send", send)
    return them


@pytest.fixture
def stub(monkeypatch):
    broker = bus.equip(StubBroker())
    actors = (jobs.arrange_pickup, jobs.relay_outbox, jobs.chase_pickups)
    for actor in actors:
        monkeypatch.setattr(actor, "broker", broker)
        broker.declare_actor(actor)
    monkeypatch.setitem(jobs.arrange_pickup.options, "min_backoff", 1)
    monkeypatch.setitem(jobs.arrange_pickup.options, "max_backoff", 2)
    worker = dramatiq.Worker(broker, worker_timeout=20, worker_threads=2)
    worker.start()

    def settle():
        for queue in ("pickups", "chores"):
            broker.join(queue, fail_fast=False, timeout=10_000)
        worker.join()

    broker.settle = settle
    yield broker
    worker.stop()
