"""Our SDK for KartenPay. charges.create() may be repeated under the same idempotency key: it answers as at first."""
import requests
from flask import current_app


class KartenPayError(Exception):
    pass


class CardError(KartenPayError):
    """The bank of the card said no. Nothing was taken."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class RateLimited(KartenPayError):
    pass


class APIConnectionError(KartenPayError):
    """No answer, or none that we could use: it may have been done."""


class InvalidRequest(KartenPayError):
    pass


class Charges:
    path = "charges"
    timeout = (4, 20)

    def create(self, *, idempotency_key, **params):
        try:
            answer = requests.post(
                "%s/%s" % (current_app.config["KARTENPAY_URL"], self.path),
                json=params,
                headers={"Idempotency-Key": idempotency_key},
                auth=(current_app.config["KARTENPAY_KEY"], ""),
                timeout=self.timeout,
            )
            body = answer.json() if answer.status_code < 500 else {}
        except (requests.RequestException, ValueError) as exc:
            raise APIConnectionError(type(exc).__name__) from exc
        if answer.status_code == 402:
            raise CardError(body.get("code", "declined"))
        if answer.status_code == 429:
            raise RateLimited("HTTP 429")
        if answer.status_code >= 500 or answer.status_code in (408, 409):
            raise APIConnectionError("HTTP %d" % answer.status_code)
        if answer.status_code >= 400:
            raise InvalidRequest("HTTP %d" % answer.status_code)
        return body


charges = Charges()
