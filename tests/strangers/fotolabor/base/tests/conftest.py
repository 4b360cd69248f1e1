import sqlite3

import pytest
from huey.storage import MemoryStorage

from fotolabor import config, setup, tasks
from fotolabor.objects import ObjectStore
from fotolabor.texts import TextService


@pytest.fixture(autouse=True)
def lab(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "DATABASE", str(tmp_path / "orders.db"))
    monkeypatch.setattr(config, "NEGATIVES", str(tmp_path / "negatives"))
    monkeypatch.setattr(tasks.huey, "storage", MemoryStorage("fotolabor"))
    setup.setup(demo=True)


@pytest.fixture
def sql():
    def run(statement, *args):
        with sqlite3.connect(config.DATABASE) as db:
            return db.execute(statement, args).fetchall()
    return run


@pytest.fixture
def bucket(monkeypatch):
    bucket = {"puts": 0, "errors": [], "objects": {}}

    def put_object(self, Key, Body, ContentType="application/zip"):
        if bucket["errors"]:
            raise bucket["errors"].pop(0)
        bucket["puts"] += 1
        bucket["objects"].setdefault(Key, set()).add(Body)
        return {"ETag": "e"}

    monkeypatch.setattr(ObjectStore, "put_object", put_object)
    return bucket


@pytest.fixture
def texts(monkeypatch):
    class Provider:
        sent, script = [], []

    Provider.sent, Provider.script = [], []

    def send(self, phone, text, reference):
        Provider.sent.append((phone, reference))
        step = Provider.script.pop(0) if Provider.script else None
        if callable(step) and not isinstance(step, type):
            step = step()
        if step:
            raise step
        return "sms-%d" % len(Provider.sent)

    monkeypatch.setattr(TextService, "send", send)
    return Provider


@pytest.fixture
def work():
    def drain():
        """Huey's consumer without its waiting."""
        ran = 0
        while ran < 30:
            storage = tasks.huey.storage
            for data in storage.scheduled_items():
                storage.enqueue(data)
            storage.flush_schedule()
            task = tasks.huey.dequeue()
            if task is None:
                return ran
            task.eta = None
            tasks.huey.execute(task)
            ran += 1
        return ran

    return drain
