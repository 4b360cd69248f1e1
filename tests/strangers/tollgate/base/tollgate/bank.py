"""The gateway of the bank: direct debits against a holder's mandate.

The gateway answers a repeated Idempotency-Key with the first booking, for thirty days.
"""
from functools import lru_cache

import httpx

from tollgate.settings import settings


class BankUnavailable(Exception):
    """No answer, or none that says whether the debit was booked. May pass."""


class ChargeRefused(Exception):
    """The bank said no, and will say so again."""

    def __init__(self, code: str, detail: str = ""):
        super().__init__(f"{code} {detail}".strip())
        self.code = code


class BankGateway:
    def __init__(self, client: httpx.Client):
        self._client = client

    def charge(
        self, mandate: str, amount_cents: int, reference: str, idempotency_key: str
    ) -> dict:
        try:
            response = self._client.post(
                "/debits",
                json={
                    "mandate": mandate,
                    "amount": {"cents": amount_cents, "currency": "CHF"},
                    "reference": reference,
                },
                headers={"Idempotency-Key": idempotency_key},
            )
        except httpx.TransportError as error:
            raise BankUnavailable(f"{type(error).__name__}: {error}") from error
        if response.is_success:
            return response.json()
        if response.status_code in (400, 402, 404, 410, 422):
            body = _body(response)
            raise ChargeRefused(body.get("code", str(response.status_code)), body.get("detail", ""))
        # 401 and 403 are about our token, 409 says that the key is in flight, 429 and 5xx pass
        raise BankUnavailable(f"HTTP {response.status_code}")


def _body(response: httpx.Response) -> dict:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


@lru_cache
def gateway() -> BankGateway:
    return BankGateway(
        httpx.Client(
            base_url=settings().bank_url,
            headers={"Authorization": f"Bearer {settings().bank_token}"},
            timeout=httpx.Timeout(15, connect=5),
        )
    )
