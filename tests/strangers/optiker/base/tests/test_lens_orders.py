import requests
from django.test import Client
from django.utils import timezone
from kombu.exceptions import OperationalError

from lenses import services
from lenses.models import DeadOrder, LensOrder
from lenses.tasks import order_lenses


def run(**message):
    return order_lenses.apply(kwargs=message)


def order(pk=1):
    return LensOrder.objects.get(pk=pk)


def test_view_places_and_publishes(published):
    response = Client().post("/lens-orders/1/place")
    assert response.status_code == 202 and response.json() == {"order": 1, "placed": True}
    assert published == [{"order_id": 1}]
    assert Client().post("/lens-orders/1/place").json()["placed"] is False
    assert published == [{"order_id": 1}]
    assert Client().post("/lens-orders/99/place").status_code == 404


def test_orders_once(lab, published):
    services.place_order(1)
    run(order_id=1)
    run(order_id=1)
    assert (order().status, order().lab_reference) == ("ordered", "GL-1")
    assert lab.keys == [str(order().request_key)]
    assert lab.bodies == [{"lens": "SV-1.6", "right": {"sphere": "-2.25"}, "left": {"sphere": "-1.75"}}]


def test_repeats_under_the_same_key(lab, published):
    services.place_order(1)
    lab.script[:] = [503, requests.ReadTimeout("slow"), 429]
    run(order_id=1)
    assert order().status == "ordered" and len(lab.keys) == 4 and len(lab.orders) == 1


def test_gives_up_after_six(lab, published):
    services.place_order(1)
    lab.script[:] = [503] * 20
    run(order_id=1)
    assert len(lab.keys) == 6 and order().status == "failed" and DeadOrder.objects.get().key == "1"


def test_refusal_is_final(lab, published):
    services.place_order(1)
    lab.script[:] = [422]
    run(order_id=1)
    run(order_id=1)
    assert len(lab.keys) == 1 and order().status == "failed" and DeadOrder.objects.count() == 1


def test_confirmation_beats_a_burial(lab, published):
    services.place_order(1)
    services.begin(1)
    services.bury("1", {"order_id": 1}, "status 422", "other", 1)
    assert services.settle(1, "GL-9")
    assert order().status == "ordered" and not DeadOrder.objects.exists()
    assert not services.bury("1", {"order_id": 1}, "status 503", "other", 1)


def test_malformed_and_unknown(lab, published):
    for message in ({}, {"order_id": "1"}, {"order_id": True}, {"order_id": 1, "express": True}, {"order_id": 77}):
        run(**message)
        run(**message)
    assert not lab.keys and DeadOrder.objects.count() == 5


def test_sweep_publishes_what_the_broker_missed(monkeypatch, lab):
    def away(**options):
        raise OperationalError("no redis")

    with monkeypatch.context() as patch:
        patch.setattr(order_lenses, "apply_async", away)
        assert services.place_order(1)
    sent = []
    monkeypatch.setattr(order_lenses, "apply_async", lambda kwargs: sent.append(kwargs))
    assert services.requeue_stalled() == 1 and sent == [{"order_id": 1}]
    assert services.requeue_stalled() == 0
    LensOrder.objects.filter(pk=1).update(due_at=timezone.now())
    assert services.requeue_stalled() == 1
    run(order_id=1)
    assert services.requeue_stalled() == 0 and order().status == "ordered"


def test_starts_are_bounded(lab, published, settings_starts=12):
    services.place_order(1)
    LensOrder.objects.filter(pk=1).update(starts=settings_starts)
    run(order_id=1)
    assert not lab.keys and order().status == "failed" and DeadOrder.objects.count() == 1


def test_log_names_the_job_and_nobody(lab, published, caplog):
    services.place_order(1)
    with caplog.at_level("INFO", logger="lenses"):
        run(order_id=1)
    ends = [r for r in caplog.records if getattr(r, "outcome", "") == "ordered"]
    assert len(ends) == 1 and ends[0].key == "1" and ends[0].attempt == 1 and ends[0].job_id
    assert "Brandt" not in caplog.text
