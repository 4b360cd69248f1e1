import fakeredis
import pytest
from rq import Queue

from lohnbuero import authority, config, mailer, queue, schema, uow


@pytest.fixture(autouse=True)
def database(tmp_path):
    engine = uow.connect(f"sqlite:///{tmp_path}/lohn.db")
    schema.create()
    schema.demo()
    yield engine
    engine.dispose()


@pytest.fixture(autouse=True)
def rq(monkeypatch):
    waiting = Queue(config.QUEUE, connection=fakeredis.FakeStrictRedis(), default_timeout=120)
    monkeypatch.setattr(queue, "declarations", lambda: waiting)
    return waiting


class Office:
    def __init__(self):
        self.calls, self.tickets, self.trouble = [], {}, []

    def transmit(self, *, transmission_no, **fields):
        self.calls.append((transmission_no, fields))
        step = self.trouble.pop(0) if self.trouble else None
        if step and step[0] == "before":
            raise step[1]
        ticket = self.tickets.setdefault(transmission_no, f"T-{len(self.tickets) + 1}")
        if step:
            raise step[1]
        return ticket


class Post:
    def __init__(self):
        self.mails, self.trouble = [], []

    def send(self, mail):
        if self.trouble:
            raise self.trouble.pop(0)
        self.mails.append(mail)


@pytest.fixture
def office(monkeypatch):
    office = Office()
    monkeypatch.setattr(authority.Authority, "transmit", lambda self, **fields: office.transmit(**fields))
    return office


@pytest.fixture
def post(monkeypatch):
    post = Post()
    monkeypatch.setattr(mailer, "send", post.send)
    return post
