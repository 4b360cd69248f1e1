import pytest

from petvault import claims, post, settings, tables
from petvault.celery_app import app


class Outside:
    """The vault and the relay."""

    def __init__(self):
        self.objects, self.mails, self.trouble = {}, [], {"put": [], "send": []}

    def put(self, key, body, content_type):
        if self.trouble["put"]:
            raise self.trouble["put"].pop(0)
        self.objects[key] = body

    def send(self, **mail):
        if self.trouble["send"]:
            raise self.trouble["send"].pop(0)
        self.mails.append(mail)


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1_775_000_000

        def time(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(claims, "time", clock)
    monkeypatch.setattr("petvault.dispatch.time", clock)
    return clock


@pytest.fixture
def outside(tmp_path, monkeypatch, clock):
    monkeypatch.setattr(settings, "DATABASE", str(tmp_path / "petvault.db"))
    monkeypatch.setitem(app.conf, "task_always_eager", True)
    tables.engine.cache_clear()
    tables.metadata.create_all(tables.engine())
    tables.demo()
    outside = Outside()
    monkeypatch.setattr("petvault.tasks.vault", lambda: outside)
    monkeypatch.setattr(post, "send", outside.send)
    yield outside
    tables.engine.cache_clear()


@pytest.fixture
def rows(outside):
    def rows(sql):
        with tables.engine().connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql)]

    return rows
