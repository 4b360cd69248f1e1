import httpx
import pytest

from spedition import cli, customs, outbox
from spedition.db import engine
from spedition.orders import place_order


@pytest.fixture(autouse=True)
def database(tmp_path, monkeypatch):
    monkeypatch.setenv("SPEDITION_DATABASE_URL", f"sqlite:///{tmp_path}/spedition.db")
    cli.init()
    yield
    engine().dispose()


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        time = 1_780_000_000

    monkeypatch.setattr(outbox, "now", lambda: Clock.time)
    return Clock


@pytest.fixture
def office(monkeypatch):
    """A customs office that knows its declarations. What stands in `answers` is said first."""

    class Office:
        def __init__(self):
            self.answers, self.known, self.calls = [], {}, 0

        def __call__(self, request):
            self.calls += 1
            answer = self.answers.pop(0) if self.answers else None
            if isinstance(answer, Exception):
                raise answer
            if answer:
                return httpx.Response(answer)
            key = request.headers["X-Declaration-Id"]
            status = 409 if key in self.known else 201
            mrn = self.known.setdefault(key, f"26DE{len(self.known):014d}")
            return httpx.Response(status, json={"mrn": mrn})

    office = Office()
    monkeypatch.setattr(
        customs, "client", lambda: httpx.Client(base_url="http://zoll.test", transport=httpx.MockTransport(office))
    )
    return office


@pytest.fixture
def order():
    return place_order("2026-0001", "Fjordkraft AS", "NO", [{"hs": "850300", "kg": 12}])
