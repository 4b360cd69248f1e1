"""The payment provider and the ledger. Both drop a request whose key they know."""

import json
import urllib.error
import urllib.request
from typing import Any


class ProviderError(Exception):
    """An answer that is not 200: (status, body)."""

    @property
    def status(self) -> int:
        return int(self.args[0])


def charge(customer: str, cents: int, *, key: str) -> str:
    """Takes money; the id of the payment. A key is known for 30 days. Raises ProviderError or ConnectionError."""
    answer: dict[str, Any] = _post("https://pay.example/charges", {"customer": customer, "cents": cents}, key)
    return str(answer["id"])


def book(payment: str, cents: int, *, key: str) -> None:
    """Enters a payment into the ledger. A key is known for ever. Raises ProviderError or ConnectionError."""
    _post("https://ledger.example/entries", {"payment": payment, "cents": cents}, key)


def _post(url: str, body: dict[str, Any], key: str) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Idempotency-Key": key})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise ProviderError(error.code, error.reason) from error
