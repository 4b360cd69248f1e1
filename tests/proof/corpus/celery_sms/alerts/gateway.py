"""The SMS gateway. It drops a message whose reference it saw in the last 24 hours."""

import json
import urllib.request


class GatewayDown(Exception):
    """It may work later."""


class UnknownNumber(Exception):
    """Nobody has this number."""


def send_sms(to: str, text: str, reference: str) -> None:
    """Raises GatewayDown or UnknownNumber."""
    body = json.dumps({"to": to, "text": text, "reference": reference}).encode()
    urllib.request.urlopen("https://sms.example/v1/messages", body, timeout=10).close()
