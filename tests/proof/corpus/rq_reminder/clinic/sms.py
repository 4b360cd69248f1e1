"""The text provider: it drops a text whose reference it saw in the last 24 hours."""

import json
import urllib.request


class Throttled(Exception):
    """Too many texts at once: later it takes more."""


class UnknownNumber(Exception):
    """Nobody has this number."""


def send(phone: str, text: str, *, reference: str) -> None:
    """Sends one text. Raises Throttled, ConnectionError or UnknownNumber."""
    body = json.dumps({"to": phone, "text": text, "reference": reference}).encode()
    urllib.request.urlopen(urllib.request.Request("https://texts.example/v2", body), timeout=10).close()
