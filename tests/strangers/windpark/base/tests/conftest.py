import pytest

from windpark import admin, operator, orders, tables


@pytest.fixture(autouse=True)
def database(tmp_path, monkeypatch):
    monkeypatch.setenv("WINDPARK_DATABASE_URL", f"sqlite:///{tmp_path}/windpark.db")
    admin.init()
    yield tables.engine()
    tables.engine().dispose()


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        at = 1_767_260_000

    monkeypatch.setattr(orders, "now", lambda: Clock.at)
    return Clock


@pytest.fixture
def sent(monkeypatch):
    """What the operator has: key -> limit. answers are raised or returned, one a call."""

    class Sent(dict):
        answers = []
        calls = 0

    box = Sent()

    def send_setpoint(self, *, idempotency_key, park, limit_kw, valid_from, valid_to):
        box.calls += 1
        answer = box.answers.pop(0) if box.answers else None
        if isinstance(answer, Exception):
            raise answer
        box.setdefault(idempotency_key, limit_kw)
        return f"ack-{idempotency_key}"

    box.answers = []
    monkeypatch.setattr(operator.GridOperator, "send_setpoint", send_setpoint)
    return box
