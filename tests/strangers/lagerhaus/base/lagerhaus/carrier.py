"""Paketbote's API. It answers the same client reference with the same tracking number for 14 days."""

from __future__ import annotations

from uuid import UUID

import httpx

from lagerhaus.settings import get_settings


class CarrierBusy(Exception):
    """No answer, or one that says: later. The announcement may have arrived all the same."""


class CarrierRefused(Exception):
    """The carrier does not take this shipment."""


class CarrierClient:
    def __init__(self, transport: httpx.BaseTransport | None = None):
        settings = get_settings()
        self._http = httpx.Client(
            base_url=settings.carrier_url,
            timeout=settings.carrier_timeout,
            headers={"Authorization": f"Bearer {settings.carrier_token.get_secret_value()}"},
            transport=transport,
        )

    def __enter__(self) -> CarrierClient:
        return self

    def __exit__(self, *exc_info) -> None:
        self._http.close()

    def announce(self, consignment: dict, *, client_reference: UUID) -> str:
        """Returns the tracking number."""
        body = {"clientReference": str(client_reference), **consignment}
        try:
            response = self._http.post("/shipments", json=body)
        except httpx.TransportError as exc:
            raise CarrierBusy(type(exc).__name__) from exc
        if response.status_code in (408, 425, 429) or response.status_code >= 500:
            raise CarrierBusy(f"HTTP {response.status_code}")
        if not response.is_success:
            raise CarrierRefused(f"HTTP {response.status_code}")
        try:
            tracking_no = response.json()["trackingNumber"]
        except (ValueError, KeyError, TypeError) as exc:
            raise CarrierBusy("an answer without a tracking number") from exc
        if not isinstance(tracking_no, str) or not tracking_no:
            raise CarrierBusy("an answer without a tracking number")
        return tracking_no
