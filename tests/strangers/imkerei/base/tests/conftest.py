import os
import tempfile

folder = tempfile.mkdtemp(prefix="imkerei-")
os.environ["IMKEREI_DB"] = os.path.join(folder, "shop.db")
os.environ["IMKEREI_QUEUE"] = os.path.join(folder, "queue.db")

from datetime import date, timedelta  # noqa: E402

import pytest  # noqa: E402

from imkerei import post, tasks  # noqa: E402
from imkerei.models import TABLES, Order, database  # noqa: E402


class Relay:
    def __init__(self):
        self.mails = []
        self.errors = []
        self.meanwhile = None

    def send_letter(self, to, subject, text, message_id):
        if self.errors:
            raise self.errors.pop(0)
        self.mails.append((to, message_id))
        if self.meanwhile:
            self.meanwhile()


@pytest.fixture(autouse=True)
def shop():
    database.drop_tables(TABLES)
    database.create_tables(TABLES)
    tasks.huey.flush()
    today = date.today()
    Order.create(customer="A", email="a@example.org", amount_cents=100, placed_on=today - timedelta(days=8))
    Order.create(customer="B", email="b@example.org", amount_cents=200, placed_on=today - timedelta(days=8), state="paid")
    Order.create(customer="C", email="c@example.org", amount_cents=300, placed_on=today - timedelta(days=3))
    yield
    database.close()


@pytest.fixture
def relay(monkeypatch):
    relay = Relay()
    monkeypatch.setattr(post, "send_letter", relay.send_letter)
    return relay


@pytest.fixture
def work():
    def drain():
        """What a consumer does, without the waiting."""
        ran = 0
        while ran < 20:
            for task in tasks.huey.storage.scheduled_items():
                tasks.huey.enqueue(tasks.huey.deserialize_task(task))
            tasks.huey.storage.flush_schedule()
            task = tasks.huey.dequeue()
            if task is None:
                break
            task.eta = None
            tasks.huey.execute(task)
            ran += 1
        return ran

    return drain
