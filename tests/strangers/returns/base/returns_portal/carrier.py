"""ParcelHub, the carrier. A second request with the same reference answers with the label of the first, for 90 days."""

from __future__ import annotations

from typing import TypedDict

import httpx

TIMEOUT_SECONDS = 10.0


class Label(TypedDict):
    tracking_no: str
    label_url: str


class CarrierUnavailable(Exception):
    """Down, busy, or the answer was lost."""


class ShipmentRefused(Exception):
    """ParcelHub does not carry this parcel, and will not tomorrow."""


class CarrierClient:
    def __init__(self, base_url: str, token: str) -> None:
        self._base_url = base_url
        self._token = token

    def create_label(self, *, reference: str, sender: str, weight_grams: int) -> Label:
        try:
            response = httpx.post(
                f"{self._base_url}/v2/return-labels",
                json={"reference": reference, "sender": sender, "weight_g": weight_grams},
                headers={"Authorization": f"Bearer {self._token}"},
                timeout=TIMEOUT_SECONDS,
            )
        except httpx.RequestError as error:
            raise CarrierUnavailable(repr(error)) from error
        if response.status_code in (400, 404, 409, 422):
            raise ShipmentRefused(f"{response.status_code} {response.text[:200]}")
        if not response.is_success:
            raise CarrierUnavailable(f"status {response.status_code}")
        try:
            body = response.json()
            return Label(tracking_no=str(body["tracking_no"]), label_url=str(body["label_url"]))
        except (ValueError, KeyError, TypeError) as error:
            raise CarrierUnavailable("an answer that cannot be read") from error
