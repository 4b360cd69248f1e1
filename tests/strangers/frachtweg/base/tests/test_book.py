"""Without a database: rows are a dict here. Statements are tried in CI against PostgreSQL."""
from types import SimpleNamespace

import httpx
import pytest

from frachtweg import carrier, consignments, labels, tasks


@pytest.fixture
def world(monkeypatch):
    w = SimpleNamespace(row={"consignee": "X", "parcels": 1, "grams": 1}, booked=[], put=[], finished=[], dead=[], fail=[])

    def book(order, reference):
        if w.fail:
            raise w.fail.pop(0)
        w.booked.append(reference)
        return {"tracking": "T1", "label": "cGRm"}

    monkeypatch.setattr(carrier, "book", book)
    monkeypatch.setattr(labels.LabelStore, "put", lambda self, key, body: w.put.append((key, body)))
    monkeypatch.setattr(consignments, "begin", lambda id: w.row)
    monkeypatch.setattr(consignments, "finish", lambda *a: w.finished.append(a))
    monkeypatch.setattr(consignments, "bury", lambda *a: w.dead.append(a) or True)
    return w


def run(attempts=0, **message):
    job = SimpleNamespace(id=7, attempts=attempts)
    try:
        tasks.book_consignment.func(SimpleNamespace(job=job), **message)
    except Exception as exc:
        decision = tasks.book_consignment.get_retry_exception(exception=exc, job=job)
        return "again" if decision else "failed"
    return "done"


def test_books(world):
    assert run(consignment_id=1) == "done"
    assert world.booked == ["FW-1"] and world.put == [("labels/FW-1.pdf", b"pdf")]
    assert world.finished == [(1, "T1", "labels/FW-1.pdf")]


def test_nothing_left(world):
    world.row = None
    assert run(consignment_id=1) == "done" and not world.booked


def test_again_and_dead(world):
    world.fail = [carrier.CarrierDown("503") for _ in range(5)]
    assert [run(n, consignment_id=1) for n in range(5)] == ["again"] * 4 + ["failed"]
    assert len(world.dead) == 1


def test_refused_and_bad(world):
    world.fail = [carrier.CarrierRefused("422")]
    assert run(consignment_id=1) == "failed" and run() == "failed" and run(consignment_id="1") == "failed"
    assert len(world.dead) == 3


def test_carrier_answers(monkeypatch):
    monkeypatch.setattr(httpx, "post", lambda *a, **k: httpx.Response(503))
    with pytest.raises(carrier.CarrierDown):
        carrier.book(carrier.Order("X", 1, 1), "FW-1")
