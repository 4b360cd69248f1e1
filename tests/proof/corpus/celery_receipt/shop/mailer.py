"""The mail provider: it drops a message whose idempotency key it saw in the last 24 hours."""

import json
import urllib.request


class Unavailable(Exception):
    """The provider is down or busy: later it may work."""


class BadAddress(Exception):
    """The provider will never deliver to this address."""


def send(order_id: int, email: str, *, idempotency_key: str) -> None:
    """Sends one receipt. Raises Unavailable, TimeoutError or BadAddress."""
    mail = json.dumps({"to": email, "subject": f"Your receipt for order {order_id}"}).encode()
    request = urllib.request.Request("https://mail.example/send", mail, {"Idempotency-Key": idempotency_key})
    urllib.request.urlopen(request, timeout=10).close()
