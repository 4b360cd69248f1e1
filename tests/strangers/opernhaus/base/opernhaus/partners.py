"""The two houses that we talk to.

Ticketing: DELETE /allocations/<allocation> gives the seats back. Seats that are back
already answer 404 or 410.
Treasury: POST /payouts, with our voucher number as Idempotency-Key. It remembers a
number for a year, and answers a repetition with the reference of the first payout.
"""
from contextlib import contextmanager

import requests
from requests.adapters import HTTPAdapter

from . import settings

REFUSALS = (400, 402, 404, 409, 410, 422)


class Unreadable(Exception):
    """Something was answered, and it is not what was agreed on."""


class HouseAdapter(HTTPAdapter):
    """Our timeouts and our token on every request. It repeats nothing; RQ does."""

    def __init__(self, token, timeout=(5, 20)):
        self.token = token
        self.timeout = timeout
        super().__init__(max_retries=0)

    def send(self, request, **kwargs):
        request.headers["Authorization"] = f"Bearer {self.token}"
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self.timeout
        return super().send(request, **kwargs)


@contextmanager
def partner(base, token):
    with requests.Session() as session:
        session.max_redirects = 0
        session.mount(base, HouseAdapter(token))
        yield session


def release_seats(allocation):
    base, token = settings.ticketing()
    try:
        with partner(base, token) as session:
            session.delete(f"{base}/allocations/{allocation}").raise_for_status()
    except requests.HTTPError as error:
        if error.response.status_code not in (404, 410):
            raise


def pay_out(voucher_no, amount_cents, iban):
    """The treasury's reference of the payout."""
    base, token = settings.treasury()
    with partner(base, token) as session:
        answer = session.post(
            f"{base}/payouts",
            json={"voucher": voucher_no, "amount_cents": amount_cents, "currency": "EUR", "iban": iban},
            headers={"Idempotency-Key": voucher_no},
        )
        answer.raise_for_status()
    try:
        return str(answer.json()["reference"])
    except (ValueError, KeyError, TypeError):
        raise Unreadable("payout without a reference") from None


def refused(error_type, error):
    """Whether another attempt would be told the same."""
    return (issubclass(error_type, requests.HTTPError) and error.response is not None
            and error.response.status_code in REFUSALS)
