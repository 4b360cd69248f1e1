"""The provider of text messages. It takes a reference of ours, for its bills, and does not look at
it: the same message twice is two messages."""
import requests

from . import config


class NotTaken(Exception):
    """Certainly not sent; later perhaps."""


class NumberRefused(Exception):
    """Certainly not sent, and never to this number."""


class Unclear(Exception):
    """Sent, or not."""


class TextService:
    def send(self, phone, text, reference):
        try:
            answer = requests.post(
                "%s/messages" % config.TEXT_URL,
                json={"to": phone, "text": text, "reference": reference},
                headers={"Authorization": "Bearer %s" % config.TEXT_TOKEN},
                timeout=(5, 20), allow_redirects=False)
        except requests.ConnectTimeout:
            raise NotTaken("connect timeout") from None
        except requests.RequestException as error:
            raise Unclear(type(error).__name__) from None
        if answer.status_code == 422:
            raise NumberRefused("http 422")
        if answer.status_code in (401, 403, 429):
            raise NotTaken("http %d" % answer.status_code)
        if answer.status_code not in (200, 201, 202):
            raise Unclear("http %d" % answer.status_code)
        try:
            return str(answer.json()["id"])
        except (ValueError, KeyError, TypeError):
            return "unknown"  # taken all the same
