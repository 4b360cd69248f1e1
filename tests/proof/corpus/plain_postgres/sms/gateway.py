"""The SMS gateway."""

import os
import urllib.request


class Busy(Exception):
    """It took nothing."""


class NoSuchNumber(Exception):
    """It never will."""


def send(phone: str, text: str) -> None:
    with urllib.request.urlopen(os.environ["GATEWAY"], data=f"{phone}\n{text}".encode(), timeout=5) as answer:
        if answer.status == 404:
            raise NoSuchNumber(phone)
        if answer.status == 429:
            raise Busy
