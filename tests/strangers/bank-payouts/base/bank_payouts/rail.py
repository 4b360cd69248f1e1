"""The payment rail. It recognises a repeated Idempotency-Key for 30 days and answers as it did the first time."""
import httpx

from . import settings


class RailError(Exception):
    pass


class RailUnavailable(RailError):
    """Timeouts, 429, 5xx: it may work later. Nobody knows whether the money moved."""


class RailRejected(RailError):
    """4xx: the rail will never carry this transfer."""


def transfer(iban, amount_cents, reference, idempotency_key):
    try:
        answer = httpx.post(
            settings.RAIL_URL + "/transfers",
            json={"iban": iban, "amount": amount_cents, "reference": reference},
            headers={"Idempotency-Key": idempotency_key},
            timeout=10,
        )
    except httpx.TransportError as error:
        raise RailUnavailable(str(error)) from error
    if answer.status_code == 429 or answer.status_code >= 500:
        raise RailUnavailable(f"rail answers {answer.status_code}")
    if answer.status_code >= 400:
        raise RailRejected(f"rail answers {answer.status_code}")
    return answer.json()["id"]
