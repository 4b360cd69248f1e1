import httpx

from meterhub import settings


def order(meter_id, version, series, order_key):
    """Order a forecast. The service charges an order key once and answers a repetition as it did the first time."""
    response = httpx.post(
        f"{settings.forecast_url()}/forecasts",
        json={"meter": meter_id, "version": version, "series": [{"hour": hour, "kwh": kwh} for hour, kwh in series]},
        headers={"Idempotency-Key": order_key},
        timeout=20,
    )
    response.raise_for_status()
    return response.json()
