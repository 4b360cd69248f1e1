import pytest
import requests

from apotheke import config, db, manage
from apotheke.tasks import submit_claim


@pytest.fixture(autouse=True)
def database(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "DATABASE_URL", f"sqlite:///{tmp_path}/apotheke.db")
    db.engine.cache_clear()
    db.sessions.cache_clear()
    manage.demo()
    yield
    db.engine().dispose()
    db.engine.cache_clear()
    db.sessions.cache_clear()


@pytest.fixture
def published(monkeypatch):
    """What goes to the broker."""
    sent = []
    monkeypatch.setattr(submit_claim, "apply_async", lambda kwargs=None, **options: sent.append(kwargs))
    return sent


class Insurer:
    def __init__(self):
        self.requests, self.claims, self.plan = [], {}, []

    def post(self, session, url, json=None, headers=None, **options):
        key = headers["Idempotency-Key"]
        self.requests.append(key)
        step = self.plan.pop(0) if self.plan else 200
        if isinstance(step, Exception):
            raise step
        answer = requests.Response()
        answer.status_code = step
        if step == 200:
            reference = self.claims.setdefault(key, f"KK-{len(self.claims) + 1}")
            answer._content = b'{"reference": "%s"}' % reference.encode()
        return answer


@pytest.fixture
def insurer(monkeypatch):
    fake = Insurer()
    monkeypatch.setattr(requests.Session, "post", lambda self, url, **more: fake.post(self, url, **more))
    return fake
