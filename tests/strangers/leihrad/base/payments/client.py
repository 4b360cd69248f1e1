"""Client of the payment house, which all our city services share."""
import requests
from django.conf import settings


class PaymentUnavailable(Exception):
    """Whether the card was charged is not known."""


class PaymentDeclined(Exception):
    """The card was not charged, and asking again changes nothing."""


DECLINES = {402, 422}


class PaymentClient:
    def __init__(self):
        self._http = requests.Session()
        self._http.headers.update({"Authorization": f"Bearer {settings.PAYMENTS_TOKEN}", "Accept": "application/json"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._http.close()

    def charge(self, *, idempotency_key, card_token, amount_cents, purpose):
        """The reference of the payment. A known key is answered with the first payment's."""
        try:
            answer = self._http.post(
                f"{settings.PAYMENTS_URL}/charges",
                json={"card": card_token, "amount": amount_cents, "currency": "EUR", "purpose": purpose},
                headers={"Idempotency-Key": idempotency_key},
                timeout=settings.PAYMENTS_TIMEOUT,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise PaymentUnavailable(type(error).__name__) from None
        if answer.status_code in DECLINES:
            raise PaymentDeclined(f"HTTP {answer.status_code}")
        # 202 is a charge in progress. The next attempt, under the same key, hears how it ended.
        if answer.status_code not in (200, 201):
            raise PaymentUnavailable(f"HTTP {answer.status_code}")
        try:
            return str(answer.json()["payment"]["id"])
        except (ValueError, KeyError, TypeError):
            raise PaymentUnavailable("answer without a payment") from None
