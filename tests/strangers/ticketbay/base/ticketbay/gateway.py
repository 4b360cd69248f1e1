"""The payment gateway. It remembers an Idempotency-Key for 24 hours and answers a repetition
with the answer that it gave the first time."""

import httpx

from .settings import settings


class GatewayError(Exception):
    """Whatever the gateway has against a request."""


class GatewayDown(GatewayError):
    """It cannot be reached, or answers 5xx or 429."""


class GatewayTimeout(GatewayError):
    """No answer in time: it may have done it or not."""


class CardDeclined(GatewayError):
    """The bank says no."""


class RequestRejected(GatewayError):
    """The gateway will never do that: unknown charge, bad amount, account closed."""


class AlreadyRefunded(GatewayError):
    """The charge was refunded before, by us or on the dashboard."""

    def __init__(self, refund_id: str):
        super().__init__(f"refunded already as {refund_id}")
        self.refund_id = refund_id


class PaymentGateway:
    def __init__(self, url: str, token: str, timeout: float = 10.0):
        self.url = url
        self.token = token
        self.timeout = timeout

    def charge(self, card_token: str, amount_cents: int, currency: str, *, idempotency_key: str) -> str:
        body = {"source": card_token, "amount": amount_cents, "currency": currency}
        return self._post("/charges", body, idempotency_key)["id"]

    def refund(self, charge_id: str, amount_cents: int, *, idempotency_key: str) -> str:
        body = {"charge": charge_id, "amount": amount_cents}
        return self._post("/refunds", body, idempotency_key)["id"]

    def _post(self, path: str, body: dict, key: str) -> dict:
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": key}
        try:
            answer = httpx.post(self.url + path, json=body, headers=headers, timeout=self.timeout)
        except httpx.TimeoutException as error:
            raise GatewayTimeout(str(error) or "timed out") from error
        except httpx.TransportError as error:
            raise GatewayDown(str(error)) from error
        if answer.status_code >= 500 or answer.status_code == 429:
            raise GatewayDown(f"answered {answer.status_code}")
        if answer.status_code == 402:
            raise CardDeclined(answer.text[:200])
        if answer.status_code == 409:
            raise AlreadyRefunded(answer.json()["refund"])
        if answer.status_code >= 400:
            raise RequestRejected(f"{answer.status_code}: {answer.text[:200]}")
        return answer.json()


gateway = PaymentGateway(settings.gateway_url, settings.gateway_token)
