"""The payment provider. Refunds with a known Idempotency-Key are answered with the first result."""

import httpx

from .settings import settings


class PaymentsDown(Exception):
    pass


class RefundRejected(Exception):
    """The card is closed, or the payment was charged back."""


class PaymentApi:
    async def refund(self, *, order_id: str, amount_cents: int, idempotency_key: str) -> dict:
        async with httpx.AsyncClient(base_url=settings.payments_url, timeout=10) as client:
            try:
                response = await client.post(
                    "/refunds",
                    json={"order": order_id, "amount": amount_cents},
                    headers={
                        "Authorization": f"Bearer {settings.payments_token}",
                        "Idempotency-Key": idempotency_key,
                    },
                )
                if response.status_code == 422:
                    raise RefundRejected(response.json()["reason"])
                response.raise_for_status()
            except httpx.HTTPError as exc:
                raise PaymentsDown(repr(exc)) from exc
            return response.json()


payments = PaymentApi()
