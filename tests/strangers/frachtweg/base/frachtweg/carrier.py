import base64
import os
from dataclasses import dataclass

import httpx


class CarrierDown(Exception):
    pass


class CarrierRefused(Exception):
    pass


@dataclass(frozen=True)
class Order:
    consignee: str
    parcels: int
    grams: int


def book(order: Order, reference: str) -> dict:
    """{"tracking": ..., "label": base64 of the PDF}; the same again for the same reference."""
    url = os.environ.get("FRACHTWEG_CARRIER", "https://carrier.invalid") + "/bookings"
    headers = {"Authorization": "Bearer " + os.environ.get("FRACHTWEG_CARRIER_TOKEN", "")}
    body = {"reference": reference, "to": order.consignee, "parcels": order.parcels, "grams": order.grams}
    try:
        answer = httpx.post(url, json=body, headers=headers, timeout=20)
    except httpx.TransportError as exc:
        raise CarrierDown(type(exc).__name__) from None
    if answer.status_code in (408, 409, 425, 429) or answer.status_code >= 500:
        raise CarrierDown(str(answer.status_code))
    if not answer.is_success:
        raise CarrierRefused(str(answer.status_code))
    try:
        booking = answer.json()
        base64.b64decode(booking["label"], validate=True)
        return {"tracking": booking["tracking"], "label": booking["label"]}
    except (ValueError, KeyError, TypeError):
        raise CarrierDown("answer cannot be read") from None
