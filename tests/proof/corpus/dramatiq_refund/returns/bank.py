"""The payment provider: it drops a refund whose idempotency key it saw in the last two days."""

import json
import urllib.request


class Unavailable(Exception):
    """The provider is down or busy: later it may work."""


class Declined(Exception):
    """The provider will never make this refund."""


def refund(return_id: int, cents: int, *, idempotency_key: str | None) -> None:
    """Pays money back. Raises Unavailable, TimeoutError or Declined."""
    body = json.dumps({"reference": f"return {return_id}", "cents": cents}).encode()
    request = urllib.request.Request("https://bank.example/refunds", body, {"Idempotency-Key": str(idempotency_key)})
    urllib.request.urlopen(request, timeout=10).close()
