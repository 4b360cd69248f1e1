"""The carrier's booking API. Its side keeps an Idempotency-Key for 48 hours."""

import requests
from django.conf import settings


class CarrierError(Exception):
    pass


class CarrierUnavailable(CarrierError):
    """Down, slow or overloaded."""


class AddressRejected(CarrierError):
    """They will never deliver there."""


class CarrierClient:
    def __init__(self, url=None, token=None):
        self.url = url or settings.CARRIER_URL
        self.token = token or settings.CARRIER_TOKEN

    def book(self, *, reference, address, idempotency_key):
        try:
            response = requests.post(
                f"{self.url}/bookings",
                json={"reference": reference, "address": address},
                headers={"Authorization": f"Bearer {self.token}", "Idempotency-Key": idempotency_key},
                timeout=10,
            )
        except requests.RequestException as exc:
            raise CarrierUnavailable(str(exc)) from exc
        if response.status_code == 422:
            raise AddressRejected(response.text[:200])
        if response.status_code >= 400:
            raise CarrierUnavailable(f"carrier answered {response.status_code}")
        return response.json()
