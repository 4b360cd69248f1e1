"""The label API of Swift Freight.

It recognises a repeated order by the Idempotency-Key header for 48 hours and answers it with the
label it has already printed (and charged).
"""

import httpx

from .config import load
from .errors import CarrierUnavailable, LabelRejected


class CarrierClient:
    def __init__(self, config=None, transport=None):
        config = config or load()
        self._http = httpx.Client(
            base_url=config.carrier_url,
            headers={"Authorization": f"Bearer {config.carrier_token}"},
            timeout=httpx.Timeout(10.0, connect=3.0),
            transport=transport,
        )

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._http.close()

    def print_label(self, receiver, address, grams, idempotency_key):
        """Orders one label; returns {"tracking": ..., "label_url": ...}."""
        try:
            answer = self._http.post(
                "/labels",
                json={"receiver": receiver, "address": address, "grams": grams},
                headers={"Idempotency-Key": idempotency_key},
            )
        except httpx.TransportError as exc:
            raise CarrierUnavailable(f"no answer from the carrier: {exc!r}") from exc
        if answer.status_code in (409, 429) or answer.status_code >= 500:
            raise CarrierUnavailable(f"the carrier answers {answer.status_code}")
        if answer.status_code >= 400:
            raise LabelRejected(f"the carrier answers {answer.status_code}: {answer.text[:200]}")
        body = answer.json()
        return {"tracking": body["tracking"], "label_url": body["label_url"]}
