import os

os.environ["KLINIKUM_REDIS_URL"] = "stub"

import pytest
from dramatiq import Worker

from klinikum import database, gateway
from klinikum.actors import transmit_result
from klinikum.broker import broker


@pytest.fixture(autouse=True)
def a_database(tmp_path, monkeypatch):
    monkeypatch.setenv("KLINIKUM_DATABASE_URL", f"sqlite:///{tmp_path}/klinikum.db")
    database.create(demo=True)


class Gateway:
    """Answers with what is in `script`, and then well."""

    def __init__(self):
        self.received, self.script = [], []

    def transmit(self, practice, segments, *, message_control_id):
        self.received.append(message_control_id)
        answer = self.script.pop(0) if self.script else "A-1"
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return answer()
        return answer


@pytest.fixture(autouse=True)
def gp(monkeypatch):
    fake = Gateway()
    monkeypatch.setattr(gateway, "transmit", fake.transmit)
    return fake


@pytest.fixture(scope="session")
def worker():
    worker = Worker(broker, worker_timeout=50, worker_threads=1)
    worker.start()
    yield worker
    worker.stop()


@pytest.fixture
def work(worker, monkeypatch):
    """Waits until the queue is empty."""
    monkeypatch.setitem(transmit_result.options, "min_backoff", 1)
    monkeypatch.setitem(transmit_result.options, "max_backoff", 5)
    broker.flush_all()

    def until_empty():
        broker.join("lab", fail_fast=False, timeout=20_000)
        worker.join()

    return until_empty
