import os
import tempfile

os.environ["GRIDOPS_DATABASE_URL"] = f"sqlite:///{tempfile.mkdtemp()}/test.db"
os.environ["GRIDOPS_BROKER_URL"] = "stub://"

import httpx
import pytest
from dramatiq.broker import MessageProxy

from gridops import actors, tables


class Operator:
    """The operator's API behind httpx.MockTransport; answers are status codes or exceptions."""

    def __init__(self):
        self.keys, self.receipts, self.plan = [], {}, []

    def __call__(self, request):
        key = request.headers["Idempotency-Key"]
        self.keys.append(key)
        answer = self.plan.pop(0) if self.plan else 201
        if isinstance(answer, BaseException):
            raise answer
        if answer != 201:
            return httpx.Response(answer, headers={"Retry-After": "60"})
        status = 409 if key in self.receipts else 201
        return httpx.Response(status, json={"receipt": self.receipts.setdefault(key, f"r-{len(self.receipts) + 1}")})


class Store:
    def __init__(self):
        self.objects, self.plan = {}, []

    def put_object(self, *, Bucket, Key, Body, ContentType):
        if self.plan:
            raise self.plan.pop(0)
        self.objects[Key] = Body


@pytest.fixture(autouse=True)
def database():
    tables.metadata.drop_all(tables.engine)
    tables.metadata.create_all(tables.engine)
    tables.demo()


@pytest.fixture
def operator(monkeypatch):
    fake = Operator()
    client = httpx.Client(base_url="http://tso", transport=httpx.MockTransport(fake))
    monkeypatch.setattr(actors.partner, "http", client)
    return fake


@pytest.fixture
def store(monkeypatch):
    fake = Store()
    monkeypatch.setattr(actors, "store", fake)
    return fake


@pytest.fixture
def queue(monkeypatch):
    """What is enqueued, with the delay, instead of the broker's queues."""
    sent = []

    def enqueue(message, *, delay=None):
        sent.append((message, delay))
        return message

    monkeypatch.setattr(actors.broker, "enqueue", enqueue)
    return sent


@pytest.fixture
def work(queue):
    """A worker without threads and waits; gives back the delays."""

    def run():
        delays = []
        while queue:
            message, delay = queue.pop(0)
            delays.append(delay)
            proxy = MessageProxy(getattr(message, "_message", message))
            actors.broker.emit_before("process_message", proxy)
            try:
                actors.broker.get_actor(proxy.actor_name)(*proxy.args, **proxy.kwargs)
            except Exception as error:
                actors.broker.emit_after("process_message", proxy, exception=error)
            else:
                actors.broker.emit_after("process_message", proxy, result=None)
        return delays

    return run
