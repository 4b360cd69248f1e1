"""The partner bank's API."""
from functools import lru_cache

import httpx

from parcelbank import settings


class BankClient:
    def __init__(self, http: httpx.Client):
        self._http = http

    def create_transfer(
        self, *, reference: str, iban: str, amount_minor: int, currency: str, idempotency_key: str
    ) -> str:
        """Orders a transfer; returns the bank's own id of it."""
        response = self._http.post(
            "/v1/transfers",
            json={
                "reference": reference,
                "creditor": {"iban": iban},
                "amount": {"minor": amount_minor, "currency": currency},
            },
            headers={"Idempotency-Key": idempotency_key},
        )
        response.raise_for_status()
        return response.json()["transfer_id"]


def is_transient(exc: httpx.HTTPError) -> bool:
    if isinstance(exc, httpx.HTTPStatusError):
        # 409: our first request with this key is still being worked on.
        return exc.response.status_code >= 500 or exc.response.status_code in (408, 409, 425, 429)
    return isinstance(exc, httpx.TransportError)


def retry_after(exc: httpx.HTTPError) -> int | None:
    if isinstance(exc, httpx.HTTPStatusError):
        value = exc.response.headers.get("Retry-After", "")
        return int(value) if value.isdigit() else None
    return None


@lru_cache(maxsize=1)
def client() -> BankClient:
    config = settings.load()
    http = httpx.Client(
        base_url=config.bank_url,
        headers={"Authorization": f"Bearer {config.bank_token}"},
        timeout=httpx.Timeout(10.0),
    )
    return BankClient(http)
