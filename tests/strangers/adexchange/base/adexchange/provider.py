"""The ads provider's budget API."""
import requests

from . import settings


class ProviderUnavailable(Exception):
    """It may have booked, or not."""


class ProviderRejected(Exception):
    """It has not booked, and never will."""


def add_budget(campaign_ref, amount_cents, *, idempotency_key):
    """Book a budget; returns the provider's receipt."""
    try:
        answer = requests.post(
            f"{settings.provider_url()}/v3/campaigns/{campaign_ref}/budget",
            json={"amount": amount_cents, "currency": "EUR"},
            headers={
                "Authorization": f"Bearer {settings.provider_token()}",
                "Idempotency-Key": idempotency_key,
            },
            timeout=(5, 30),
        )
    except requests.RequestException as error:
        raise ProviderUnavailable(type(error).__name__) from error
    if answer.status_code >= 500 or answer.status_code in (408, 409, 425, 429):
        raise ProviderUnavailable(f"HTTP {answer.status_code}")
    if not answer.ok:
        raise ProviderRejected(f"HTTP {answer.status_code}")
    try:
        return answer.json()["receipt"]
    except (ValueError, KeyError, TypeError) as error:
        raise ProviderUnavailable("unreadable answer") from error
