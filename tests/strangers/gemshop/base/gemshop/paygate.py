"""Our own little SDK for Paygate, in the manner of theirs for other languages."""

import httpx


class PaygateError(Exception):
    pass


class Unavailable(PaygateError):
    """No answer, a 5xx, or told to slow down."""


class Declined(PaygateError):
    """The player's bank says no."""


class InvalidRequest(PaygateError):
    """We are at fault; the same request will not get better."""


class Captures:
    def __init__(self, http: httpx.Client):
        self._http = http

    def create(self, *, amount: int, currency: str, customer: str, reference: str,
               idempotency_key: str) -> dict:
        """Take the money. A key is remembered for 24 hours; a repetition gets the first answer."""
        try:
            response = self._http.post(
                "/v1/captures",
                json={"amount": amount, "currency": currency, "customer": customer,
                      "reference": reference},
                headers={"Idempotency-Key": idempotency_key},
            )
        except httpx.TransportError as exc:
            raise Unavailable(repr(exc)) from exc
        if response.status_code == 402:
            raise Declined(response.json().get("decline_code", "declined"))
        if response.status_code == 429 or response.status_code >= 500:
            raise Unavailable(f"HTTP {response.status_code}")
        if response.status_code >= 400:
            raise InvalidRequest(f"HTTP {response.status_code}: {response.text[:200]}")
        return response.json()


class Paygate:
    def __init__(self, key: str, url: str):
        self._http = httpx.Client(base_url=url, auth=(key, ""), timeout=15)
        self.captures = Captures(self._http)
