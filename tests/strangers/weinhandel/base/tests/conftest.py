import os
import tempfile

os.environ["DJANGO_SETTINGS_MODULE"] = "weinhandel.settings"
os.environ["WEIN_DATABASE"] = tempfile.mkdtemp() + "/test.sqlite3"
os.environ["WEIN_BROKER"] = "stub"

import django

django.setup()

import dramatiq
import pytest
from django.core.management import call_command

from versand import actors
from versand.archive import LabelArchive
from versand.house import DeadLetters
from versand.labels import LabelService
from versand.models import DeadLetter, Shipment
from weinhandel.broker import broker


@pytest.fixture(scope="session", autouse=True)
def tables():
    call_command("migrate", interactive=False, verbosity=0)


@pytest.fixture(autouse=True)
def cellar(tables, monkeypatch):
    Shipment.objects.all().delete()
    DeadLetter.objects.all().delete()
    call_command("cellar")
    monkeypatch.setitem(actors.print_label.options, "min_backoff", 1)
    monkeypatch.setitem(actors.print_label.options, "max_backoff", 2)
    monkeypatch.setattr(DeadLetters, "AGAIN_IN", 1)
    broker.flush_all()


@pytest.fixture
def work():
    """Works off whatever waits."""
    def run():
        worker = dramatiq.Worker(broker, worker_timeout=20, worker_threads=1)
        worker.start()
        try:
            broker.join("labels", fail_fast=False, timeout=20_000)
            worker.join()
        finally:
            worker.stop()
    return run


class World:
    def __init__(self):
        self.labels, self.trouble, self.archive_trouble = [], [], []
        self.bucket = {}


@pytest.fixture
def world(monkeypatch):
    world = World()

    def print_label(self, *, order_number, address, bottles, idempotency_key):
        world.labels.append(idempotency_key)
        trouble = world.trouble.pop(0) if world.trouble else None
        if callable(trouble):
            trouble()
        elif trouble:
            raise trouble
        return {"tracking": f"T-{order_number}", "pdf": "JVBERi0xLjQK"}

    def put_object(self, *, Bucket, Key, Body, ContentType):
        if world.archive_trouble:
            raise world.archive_trouble.pop(0)
        world.bucket[Key] = Body
        return {}

    monkeypatch.setattr(LabelService, "print_label", print_label)
    monkeypatch.setattr(LabelArchive, "put_object", put_object)
    return world
