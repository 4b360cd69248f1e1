"""The house's HTTP client: JSON over urllib, and two kinds of failure."""
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException


class Unavailable(Exception):
    """No answer, or one that may be another in a minute. What was asked may have been done."""


class Refused(Exception):
    """The other side has understood and will not."""


@dataclass
class HouseClient:
    base_url: str
    secret: str
    timeout: float = 10.0

    def post(self, path: str, body: dict, key: str) -> dict:
        request = urllib.request.Request(
            self.base_url + path,
            data=json.dumps(body).encode(),
            method="POST",
            headers={
                "Content-Type": "application/json",
                "Authorization": f"Bearer {self.secret}",
                "Idempotency-Key": key,
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code >= 500 or error.code in (401, 403, 408, 409, 425, 429):
                raise Unavailable(f"HTTP {error.code}") from None
            raise Refused(f"HTTP {error.code}") from None
        except (OSError, HTTPException, ValueError) as error:
            raise Unavailable(type(error).__name__) from None
