"""Talking to partners. By contract they ignore a Webhook-Id they have seen in the last three days."""

import hashlib
import hmac

import requests

from . import settings


class PartnerBusy(Exception):
    """5xx or 429"""


class PartnerRefused(Exception):
    """Any other 4xx: our request is wrong or the endpoint is gone."""


def post(url, body, secret, webhook_id):
    signature = hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
    r = requests.post(
        url,
        data=body,
        headers={"Content-Type": "application/json", "Webhook-Id": webhook_id, "Webhook-Signature": signature},
        timeout=settings.TIMEOUT,
    )
    if r.status_code >= 500 or r.status_code == 429:
        raise PartnerBusy(f"{r.status_code} from {url}")
    if r.status_code >= 400:
        raise PartnerRefused(f"{r.status_code} from {url}: {r.text[:100]}")
    return r.headers.get("X-Receipt", "")
