"""The mail provider's API."""

import json
import os
import urllib.request


class Unavailable(Exception):
    """Try again later."""


class BadAddress(Exception):
    """No later try will help."""


def send(to: str, subject: str, *, key: str) -> None:
    """A second call with the same key is dropped by the provider."""
    body = json.dumps({"to": to, "subject": subject}).encode()
    request = urllib.request.Request(os.environ["MAIL_URL"], data=body, headers={"Idempotency-Key": key})
    with urllib.request.urlopen(request, timeout=10) as answer:
        if answer.status == 422:
            raise BadAddress(to)
        if answer.status >= 500:
            raise Unavailable(answer.reason)
