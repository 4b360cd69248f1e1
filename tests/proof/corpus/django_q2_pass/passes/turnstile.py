"""The turnstile maker's API: a second request with the same key answers with the same code, for ever."""

import json
import urllib.request


class Unreachable(Exception):
    """Later it may work."""


class Refused(Exception):
    """It never will."""


def issue(number: str, *, key: str) -> str:
    """The pass's code. Raises Unreachable or Refused."""
    request = urllib.request.Request("https://turnstile.example/codes", number.encode(), {"Idempotency-Key": key})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(json.load(answer)["code"])
