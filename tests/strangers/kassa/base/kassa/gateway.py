"""PayGate, the payment service provider. It answers a repeated Idempotency-Key with its first answer, for 7 days."""

from __future__ import annotations

import httpx

TIMEOUT = httpx.Timeout(8.0, connect=3.0)
RETRYABLE = frozenset({401, 403, 408, 425, 429})  # 401 and 403: our own token is wrong, which operations will mend


class GatewayUnavailable(Exception):
    """No answer, or none that says what became of the capture."""


class CaptureRejected(Exception):
    """The gateway will never accept this request."""


class CardDeclined(Exception):
    """The bank refused the amount: nothing was taken, and nothing will be."""


class AlreadyCaptured(Exception):
    """The authorisation was captured before."""


class PaymentGateway:
    def __init__(self, base_url: str, token: str, transport: httpx.BaseTransport | None = None) -> None:
        self._base_url = base_url
        self._token = token
        self._transport = transport

    def capture(self, authorization_id: str, amount_cents: int, currency: str, *, idempotency_key: str) -> str:
        """Takes the amount; returns the gateway's id of the capture."""
        try:
            with httpx.Client(base_url=self._base_url, timeout=TIMEOUT, transport=self._transport) as client:
                response = client.post(
                    f"/v1/authorizations/{authorization_id}/captures",
                    json={"amount": amount_cents, "currency": currency},
                    headers={"Idempotency-Key": idempotency_key, "Authorization": f"Bearer {self._token}"},
                )
        except httpx.RequestError as error:
            raise GatewayUnavailable(repr(error)) from error
        return self._capture_id(response)

    def _capture_id(self, response: httpx.Response) -> str:
        status, code = response.status_code, _error_code(response)
        if status == 402:
            raise CardDeclined(code)
        if status == 409 and code == "already_captured":
            raise AlreadyCaptured(code)
        # Any other 409: a request with this key is still running.
        if status >= 500 or status == 409 or status in RETRYABLE:
            raise GatewayUnavailable(f"{status} {code}")
        if not response.is_success:
            raise CaptureRejected(f"{status} {code}")
        try:
            return str(response.json()["id"])
        except (ValueError, KeyError, TypeError) as error:
            raise GatewayUnavailable("an answer that cannot be read") from error


def _error_code(response: httpx.Response) -> str:
    if response.is_success:
        return ""
    try:
        return str(response.json()["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return "unknown"
