"""The carrier's API: a second request with the same key answers with the same label, for ever."""

import json
import urllib.request


class CarrierDown(Exception):
    """Later it may work."""


class AddressRefused(Exception):
    """It never will."""


def book_label(number: str, *, key: str) -> str:
    """The label's code. Raises CarrierDown or AddressRefused."""
    request = urllib.request.Request("https://carrier.example/labels", number.encode(), {"Idempotency-Key": key})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(json.load(answer)["label"])
