"""QuayPay, the payment provider. It knows an Idempotency-Key for 24 hours."""

import requests
from django.conf import settings

from bookings.errors import Permanent


class GatewayUnavailable(Exception):
    """No answer, or none that says what became of the request."""


class RefundRejected(Permanent):
    """The provider has looked at it and will not do it."""


class PaymentGateway:
    def __init__(self):
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {settings.PAYMENTS_TOKEN}"

    def refund(self, payment_ref, amount_cents, *, idempotency_key):
        """Give the money back; returns the provider's number of the refund."""
        try:
            response = self.session.post(
                f"{settings.PAYMENTS_URL}/v1/payments/{payment_ref}/refunds",
                json={"amount": amount_cents, "currency": "EUR"},
                headers={"Idempotency-Key": idempotency_key},
                timeout=(3, 20),
            )
        except requests.RequestException as error:
            raise GatewayUnavailable(str(error)) from error
        # 409: a request with this key is still under way
        if response.status_code in (408, 409, 429) or response.status_code >= 500:
            raise GatewayUnavailable(f"HTTP {response.status_code}")
        if not response.ok:
            raise RefundRejected(f"HTTP {response.status_code}: {response.text[:200]}")
        try:
            return response.json()["id"]
        except (ValueError, KeyError) as error:
            raise GatewayUnavailable("answer without an id") from error
