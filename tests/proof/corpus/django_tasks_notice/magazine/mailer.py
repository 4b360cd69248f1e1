"""The mailer's API: a second request with the same key sends nothing, and answers with the same number, for ever."""

import json
import urllib.request


class MailerDown(Exception):
    """Later it may work."""


class Refused(Exception):
    """It never will."""


def send(number: str, *, key: str) -> str:
    """The mail's number. Raises MailerDown or Refused."""
    request = urllib.request.Request("https://mailer.example/mails", number.encode(), {"Idempotency-Key": key})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(json.load(answer)["mail"])
