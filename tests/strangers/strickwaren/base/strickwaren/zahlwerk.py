"""Zahlwerk, our payment provider."""
import httpx

from strickwaren.settings import get_settings


class ZahlwerkError(Exception):
    pass


class ZahlwerkDown(ZahlwerkError):
    """No answer, or one that says to come back later. The refund may have been made all the same."""


class RefundDenied(ZahlwerkError):
    """No refund was made, and none will be."""


LATER = {401, 403, 404, 408, 409, 425, 429}  # 404: a proxy of theirs during deployments; 409: the key is in use


class Zahlwerk:
    def __init__(self, transport: httpx.BaseTransport | None = None):
        settings = get_settings()
        self._client = httpx.Client(
            base_url=settings.payments_url,
            timeout=settings.payments_timeout,
            headers={"Authorization": f"Bearer {settings.payments_secret.get_secret_value()}"},
            transport=transport,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._client.close()

    def refund(self, *, payment_id: str, amount_cents: int, reference: str, idempotency_key: str) -> str:
        """Give back a part of a payment; the refund's id."""
        try:
            response = self._client.post(
                "refunds",
                json={"payment": payment_id, "amount": amount_cents, "currency": "EUR", "reference": reference},
                headers={"Idempotency-Key": idempotency_key},
            )
        except httpx.RequestError as error:
            raise ZahlwerkDown(type(error).__name__) from None
        if response.is_success:
            try:
                return response.json()["id"]
            except (ValueError, KeyError, TypeError):
                raise ZahlwerkDown("answer without an id") from None
        if response.is_client_error and response.status_code not in LATER:
            raise RefundDenied(f"HTTP {response.status_code}")
        raise ZahlwerkDown(f"HTTP {response.status_code}")
