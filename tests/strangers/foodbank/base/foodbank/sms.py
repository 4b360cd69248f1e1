"""Our client of the SMS gateway."""
import http.client
import json
import urllib.error
import urllib.request

from foodbank import conf


class GatewayDown(Exception):
    """Try again: it may or may not have taken the message."""


class NumberRefused(Exception):
    """The gateway will never send this one."""


class Gateway:
    def __init__(self, url=None, token=None, timeout=15):
        self.url = url or conf.SMS_URL
        self.token = token or conf.SMS_TOKEN
        self.timeout = timeout

    def send(self, to, text, reference):
        request = urllib.request.Request(
            self.url,
            data=json.dumps({"to": to, "text": text, "reference": reference}).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"},
            method="POST",
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                return str(json.load(answer)["id"])
        except urllib.error.HTTPError as exc:
            if exc.code == 429 or exc.code >= 500:
                raise GatewayDown(f"HTTP {exc.code}") from None
            raise NumberRefused(f"HTTP {exc.code}") from None
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as exc:
            raise GatewayDown(type(exc).__name__) from None
