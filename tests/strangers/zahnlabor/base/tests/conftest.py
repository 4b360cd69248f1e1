import os

os.environ["ZAHNLABOR_BROKER_URL"] = "stub://"

import dramatiq  # noqa: E402
import pytest  # noqa: E402

from zahnlabor import mill, tables  # noqa: E402
from zahnlabor.broker import broker as stub  # noqa: E402
from zahnlabor.milling import submit_work_order  # noqa: E402


class FakeMill:
    """Remembers references as the machine does."""

    def __init__(self):
        self.jobs, self.posts, self.errors, self.lost = {}, [], [], []

    def find(self, client, reference):
        if self.errors:
            raise self.errors.pop(0)
        return self.jobs.get(reference)

    def submit(self, client, reference, **order):
        self.posts.append((reference, order))
        number = self.jobs.setdefault(reference, f"M-{len(self.jobs) + 1}")
        if self.lost:
            raise self.lost.pop(0)
        return number


@pytest.fixture
def database(tmp_path, monkeypatch):
    monkeypatch.setenv("ZAHNLABOR_DATABASE_URL", f"sqlite:///{tmp_path}/zahnlabor.db")
    tables.metadata.create_all(tables.engine())
    tables.demo()
    yield tables.engine()
    tables.engine().dispose()


@pytest.fixture
def machine(monkeypatch):
    fake = FakeMill()
    monkeypatch.setattr(mill.MillClient, "find", lambda client, reference: fake.find(client, reference))
    monkeypatch.setattr(mill.MillClient, "submit", lambda client, reference, **order: fake.submit(client, reference, **order))
    return fake


@pytest.fixture
def broker(monkeypatch):
    monkeypatch.setitem(submit_work_order.options, "min_backoff", 5)
    monkeypatch.setitem(submit_work_order.options, "max_backoff", 10)
    stub.flush_all()
    return stub


@pytest.fixture
def work(broker):
    worker = dramatiq.Worker(broker, worker_timeout=20, worker_threads=1)
    worker.start()

    def done():
        broker.join("mill", timeout=10_000, fail_fast=False)
        worker.join()

    yield done
    worker.stop()
