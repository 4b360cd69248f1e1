"""The accounting system: it drops a posting whose idempotency key it saw in the last two days."""

import json
import urllib.request


class Unavailable(Exception):
    """It is down, or closed for the night."""


class Rejected(Exception):
    """It will never take this posting."""


def post(invoice_id: int, cents: int, *, idempotency_key: str) -> None:
    """Posts one invoice. Raises Unavailable, TimeoutError or Rejected."""
    body = json.dumps({"invoice": invoice_id, "cents": cents}).encode()
    request = urllib.request.Request("https://books.example/postings", body, {"Idempotency-Key": idempotency_key})
    urllib.request.urlopen(request, timeout=10).close()
