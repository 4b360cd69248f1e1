"""Sammelwerk's direct debit API."""
import requests
from django.conf import settings


class DebitUnavailable(Exception):
    """Sammelwerk did not answer, or asks us to come back later. The debit may exist."""


class MandateRefused(Exception):
    """The bank will not debit this mandate: revoked, unknown, blocked."""


class DebitClient:
    def __init__(self, session=None):
        self.session = session or requests.Session()

    def collect(self, mandate, amount_cents, reference, idempotency_key):
        """Collect the money; returns Sammelwerk's id of the debit."""
        try:
            answer = self.session.post(
                f"{settings.DEBIT_URL}/v2/debits",
                json={"mandate": mandate, "amount": amount_cents, "currency": "CHF",
                      "reference": reference},
                headers={"Authorization": f"Bearer {settings.DEBIT_TOKEN}",
                         "Idempotency-Key": idempotency_key},
                timeout=(5, 20),
            )
        except requests.RequestException as error:
            raise DebitUnavailable(f"no answer: {error}") from error
        if answer.status_code in (409, 425, 429) or answer.status_code >= 500:
            # 409: the same key is being worked on at this moment
            raise DebitUnavailable(f"answered {answer.status_code}")
        if answer.status_code >= 400:
            raise MandateRefused(f"answered {answer.status_code}: {answer.text[:200]}")
        return answer.json()["id"]
