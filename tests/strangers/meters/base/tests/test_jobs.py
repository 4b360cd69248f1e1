import dramatiq
import httpx
import pytest
from botocore.exceptions import ClientError

from meterhub import forecast, house, intake, jobs, objects, readings


@pytest.fixture
def orders(monkeypatch):
    seen = []

    def order(meter_id, version, series, order_key):
        seen.append((meter_id, version, len(series)))
        return {"forecast_id": f"F{len(seen)}", "kwh": [1.5, 2]}

    monkeypatch.setattr(forecast, "order", order)
    return seen


def status_error(status):
    request = httpx.Request("POST", "http://forecast")
    return httpx.HTTPStatusError(str(status), request=request, response=httpx.Response(status, request=request))


def failing(error):
    def fail(*args, **kwargs):
        raise error

    return fail


def test_forecast_is_ordered_once(orders, ask):
    jobs.forecast_meter(meter_id="M-1001", version=1)
    jobs.forecast_meter(meter_id="M-1001", version=1)
    assert orders == [("M-1001", 1, 24)]
    assert ask("select version, forecast_id, kwh from forecasts") == [(1, "F1", "[1.5, 2]")]


def test_refusal_is_parked(monkeypatch, ask):
    monkeypatch.setattr(forecast, "order", failing(status_error(422)))
    with pytest.raises(house.Parked):
        jobs.forecast_meter(meter_id="M-1001", version=1)


def test_nonsense_is_refused(orders):
    for payload in ({}, {"meter_id": "M-1001"}, {"meter_id": "M-1001", "version": "1"}):
        with pytest.raises(house.Parked):
            jobs.forecast_meter(**payload)
    assert orders == []


def test_archive(monkeypatch, ask):
    put = {}
    monkeypatch.setattr(objects, "put_object", lambda Key, Body: put.update({Key: Body}))
    jobs.archive_day(area="north", day="2026-03-01")
    (body,) = put.values()
    assert body.startswith(b"M-1001,2026-03-01T00,0.000\n") and body.count(b"\n") == 24
    assert ask("select area, day, version from archives") == [("north", "2026-03-01", 1)]


def test_access_denied_is_parked(monkeypatch):
    monkeypatch.setattr(objects, "put_object", failing(ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject")))
    with pytest.raises(house.Parked):
        jobs.archive_day(area="north", day="2026-03-01")


def test_intake_announces_only_news(orders, ask):
    intake.take_readings("M-1001", {"2026-03-02T00": 1.25})
    intake.take_readings("M-1001", {"2026-03-02T00": 1.25})
    worker = dramatiq.Worker(house.BROKER, worker_timeout=50, worker_threads=1)
    worker.start()
    house.BROKER.join("forecasts", timeout=10_000)
    worker.stop()
    assert orders == [("M-1001", 2, 25)]
    assert ask("select version, announced from meters where meter_id = 'M-1001'") == [(2, 2)]


def test_unknown_meter():
    with pytest.raises(LookupError):
        readings.record("M-9999", {})
