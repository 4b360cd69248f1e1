import os
import tempfile

os.environ["DJANGO_SETTINGS_MODULE"] = "optiker.settings"
os.environ.setdefault("OPTIKER_DB", os.path.join(tempfile.mkdtemp(), "test.sqlite3"))
os.environ.setdefault("OPTIKER_BROKER", "memory://")

import django

django.setup()

import pytest
import requests
from django.core.management import call_command


@pytest.fixture(autouse=True)
def demo():
    call_command("migrate", interactive=False, verbosity=0)
    call_command("flush", interactive=False, verbosity=0)
    call_command("seed_demo")


@pytest.fixture
def published(monkeypatch):
    from lenses.tasks import order_lenses

    sent = []
    monkeypatch.setattr(order_lenses, "apply_async", lambda args=None, kwargs=None, **options: sent.append(kwargs))
    return sent


def answer(status, body=None):
    response = requests.Response()
    response.status_code = status
    response.json = lambda: body
    return response


@pytest.fixture
def lab(monkeypatch):
    """The laboratory: `script` is what it answers next; after that it takes every order."""

    class Lab:
        script, keys, bodies, orders = [], [], [], {}

    here = Lab()
    here.script, here.keys, here.bodies, here.orders = [], [], [], {}

    def post(self, url, json=None, headers=None, timeout=None):
        here.keys.append(headers["Idempotency-Key"])
        here.bodies.append(json)
        step = here.script.pop(0) if here.script else None
        if isinstance(step, int):
            return answer(step)
        reference = here.orders.setdefault(headers["Idempotency-Key"], f"GL-{len(here.orders) + 1}")
        if step is not None:
            raise step
        return answer(201, {"reference": reference})

    monkeypatch.setattr(requests.Session, "post", post)
    return here
