"""The SMS gateway: it drops a text whose reference it saw in the last 24 hours."""

import os
import urllib.request


class Busy(Exception):
    """Later it takes more."""


class Refused(Exception):
    """It will never take this one."""


def send(phone: str, appointment: int, *, reference: str) -> None:
    """Sends one text. Raises Busy, TimeoutError or Refused."""
    data = f"{reference}\n{phone}\nyour appointment {appointment}".encode()
    with urllib.request.urlopen(os.environ["GATEWAY"], data=data, timeout=5) as answer:
        if answer.status == 429:
            raise Busy
        if answer.status == 422:
            raise Refused(phone)
