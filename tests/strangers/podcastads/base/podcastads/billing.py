"""The exchange's billing API. For seven days the same Idempotency-Key gets the same batch."""
import httpx

from podcastads import config


class BillingDown(Exception):
    """No answer, or one that says later. The batch may have been booked all the same."""


class BillingRefused(Exception):
    """This batch will not be booked, however often we ask."""


class Billing:
    def __init__(self, url, token, transport=None):
        self._http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=10,
                                  transport=transport)

    def book_batch(self, batch, *, idempotency_key):
        """Returns the reference of the batch."""
        try:
            response = self._http.post("/impression-batches", json=batch, headers={"Idempotency-Key": idempotency_key})
        except httpx.TransportError as exc:
            raise BillingDown(type(exc).__name__) from exc
        # 409: our first request with this key is still being worked on
        if response.status_code in (408, 409, 425, 429) or response.status_code >= 500:
            raise BillingDown(f"status {response.status_code}")
        if response.status_code >= 300:
            raise BillingRefused(f"status {response.status_code}")
        try:
            return str(response.json()["batch"])
        except (ValueError, KeyError, TypeError) as exc:
            raise BillingDown("an answer without a batch") from exc


def client():
    return Billing(config.billing_url(), config.billing_token())
