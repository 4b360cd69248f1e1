import os
from types import SimpleNamespace

import psycopg
import pytest
from psycopg.rows import dict_row

from lagerhaus import __main__ as cli
from lagerhaus import announcing, floor, tasks
from lagerhaus.carrier import CarrierClient
from lagerhaus.settings import get_settings

from .memory import MemoryUnitOfWork, Tables


class InMemory:
    def __init__(self, monkeypatch):
        uow = type("UnitOfWork", (MemoryUnitOfWork,), {"committed": Tables()})
        monkeypatch.setattr(announcing, "UnitOfWork", uow)
        monkeypatch.setattr(floor, "UnitOfWork", uow)
        monkeypatch.setattr(floor, "defer", lambda conn, shipment_no: conn.jobs.append(
            {"task_name": "announce_shipment", "args": {"shipment_no": shipment_no}}))
        self.uow = uow

    def shipment(self, no):
        return vars(self.uow.committed.shipments[no])

    def expected_parcels(self):
        return self.uow.committed.pickups[1]

    def letters(self):
        return list(self.uow.committed.letters.values())

    def jobs(self):
        return self.uow.committed.jobs


class InPostgres:
    def __init__(self, monkeypatch, dsn):
        monkeypatch.setattr(get_settings(), "dsn", dsn)
        cli.schema()
        self.query("truncate shipments, pickups, dead_letters, procrastinate_jobs cascade")
        cli.demo()

    def query(self, sql, *args):
        with psycopg.connect(get_settings().dsn, row_factory=dict_row) as conn:
            cur = conn.execute(sql, args)
            return cur.fetchall() if cur.description else None

    def shipment(self, no):
        return self.query("select * from shipments where shipment_no = %s", no)[0]

    def expected_parcels(self):
        return self.query("select announced_parcels from pickups where id = 1")[0]["announced_parcels"]

    def letters(self):
        return self.query("select key, message, reason from dead_letters order by key")

    def jobs(self):
        return self.query("select task_name, args from procrastinate_jobs order by id")


@pytest.fixture(params=["memory", "postgres"])
def db(request, monkeypatch):
    if request.param == "memory":
        return InMemory(monkeypatch)
    dsn = os.environ.get("LAGERHAUS_TEST_DSN")
    if not dsn:
        pytest.skip("LAGERHAUS_TEST_DSN is not set")
    return InPostgres(monkeypatch, dsn)


@pytest.fixture
def carrier(monkeypatch):
    """Paketbote, as far as we know it: one tracking number a reference."""
    fake = SimpleNamespace(known={}, calls=0, errors=[])

    def announce(self, consignment, *, client_reference):
        fake.calls += 1
        if fake.errors:
            raise fake.errors.pop(0)
        return fake.known.setdefault(client_reference, f"PB{len(fake.known) + 1:08d}")

    monkeypatch.setattr(CarrierClient, "announce", announce)
    return fake


@pytest.fixture
def deliver():
    """Run the task as Procrastinate does; says what would become of the job."""

    def deliver(attempts=0, job_id=1, **message):
        job = SimpleNamespace(id=job_id, attempts=attempts)
        try:
            tasks.announce_shipment.func(SimpleNamespace(job=job), **message)
        except Exception as exc:
            return "retry" if tasks.announce_shipment.get_retry_exception(exception=exc, job=job) else "failed"
        return "succeeded"

    return deliver
