"""The carrier's partner API."""

import requests

from renewals import config
from renewals.errors import InsurerUnavailable, RenewalRefused

TIMEOUT = (5, 30)


class InsurerClient:
    def renew(self, policy_no: str, period_start: str, premium_cents: int, *, idempotency_key: str) -> str:
        """Returns the carrier's confirmation number; the same one for the same key."""
        try:
            response = requests.post(
                f"{config.insurer_url()}/policies/{policy_no}/renewals",
                json={"periodStart": period_start, "premium": {"amount": premium_cents, "currency": "EUR"}},
                headers={"Authorization": f"Bearer {config.insurer_token()}", "Idempotency-Key": idempotency_key},
                timeout=TIMEOUT,
            )
        except requests.RequestException as error:
            raise InsurerUnavailable(str(error)) from error
        if response.status_code in (404, 410, 422):
            raise RenewalRefused(f"{response.status_code} {response.text[:300]}")
        if not response.ok:
            raise InsurerUnavailable(f"answered {response.status_code}")
        try:
            return str(response.json()["confirmation"])
        except (ValueError, KeyError, TypeError) as error:
            raise InsurerUnavailable("answered without a confirmation") from error
