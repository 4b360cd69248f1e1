"""The label service. It keeps the answer to an Idempotency-Key for 30 days and gives
it again to whoever comes with the same key; no second label, no second charge."""
import json

import urllib3
from django.conf import settings


class LabelServiceDown(Exception):
    """No answer, or one that means nothing. The label may have been printed."""


class LabelRefused(Exception):
    """The service does not print this label: address, weight, contract."""


class LabelService:
    def __init__(self, url=None, token=None):
        self.url = url or settings.LABEL_URL
        self._token = token if token is not None else settings.LABEL_TOKEN
        self._pool = urllib3.PoolManager(
            retries=False, timeout=urllib3.Timeout(connect=5, read=20)
        )

    def print_label(self, *, order_number, address, bottles, idempotency_key):
        """Returns {"tracking": ..., "pdf": base64}."""
        try:
            answer = self._pool.request(
                "POST",
                f"{self.url}/labels",
                body=json.dumps({"reference": order_number, "to": address, "bottles": bottles}),
                headers={
                    "Content-Type": "application/json",
                    "Authorization": f"Bearer {self._token}",
                    "Idempotency-Key": idempotency_key,
                },
            )
        except urllib3.exceptions.HTTPError as exc:
            raise LabelServiceDown(type(exc).__name__) from None
        # 409: the same key is being worked at right now.
        if answer.status >= 500 or answer.status in (408, 409, 425, 429):
            raise LabelServiceDown(f"status {answer.status}")
        if answer.status >= 300:
            raise LabelRefused(f"status {answer.status}")
        try:
            label = json.loads(answer.data)
            return {"tracking": label["tracking"], "pdf": label["pdf"]}
        except (ValueError, KeyError, TypeError):
            raise LabelServiceDown("an answer that is no label") from None
