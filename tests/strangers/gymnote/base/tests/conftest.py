import os
import tempfile
from datetime import timedelta

_folder = tempfile.mkdtemp(prefix="gymnote-")
os.environ["GYM_DATABASE_URL"] = f"sqlite:///{_folder}/test.db"
os.environ["GYM_QUEUE_FILE"] = f"{_folder}/queue.db"

import pytest  # noqa: E402

from gymnote import cards, postmaster, seed  # noqa: E402
from gymnote.db import Base, engine, utcnow  # noqa: E402
from gymnote.queue import huey  # noqa: E402


class World:
    """The two providers; `cards` and `post` are errors to meet, in order."""

    def __init__(self):
        self.cards, self.post = [], []
        self.charges, self.mails, self.calls = {}, {}, 0

    def charge(self, desk, card_token, cents, text, idempotency_key):
        self.calls += 1
        if self.cards:
            raise self.cards.pop(0)
        return self.charges.setdefault(idempotency_key, f"ch_{card_token}")

    def send(self, template, to, values, message_key):
        if self.post:
            raise self.post.pop(0)
        return self.mails.setdefault(message_key, f"mail_{to}")


@pytest.fixture(autouse=True)
def world(monkeypatch):
    world = World()
    monkeypatch.setattr(cards.CardDesk, "charge", lambda desk, *a, **k: world.charge(desk, *a, **k))
    monkeypatch.setattr(postmaster, "send_template", world.send)
    Base.metadata.drop_all(engine)
    seed.main()
    huey.flush()
    return world


@pytest.fixture
def work():
    """Work the queue off, without waiting for what is scheduled."""

    def work():
        while tasks_ := [t for t in [huey.dequeue()] if t] or huey.read_schedule(utcnow() + timedelta(days=1)):
            for task in tasks_:
                task.eta = None
                huey.execute(task)

    return work
