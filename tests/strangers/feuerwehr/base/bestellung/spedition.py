"""The forwarder's booking API.

A booking is made under our reference. The forwarder keeps references for 30 days: the same one again
answers 200 (or 409, from its old gateway) with the consignment that exists already.
"""
import logging

import requests
from django.conf import settings

log = logging.getLogger(__name__)

TIMEOUT = (5, 20)
PASSING = {408, 425, 429}


class ForwarderUnavailable(Exception):
    """No usable answer. The booking may or may not exist."""


class ForwarderRefused(Exception):
    """A definite no."""


def book(reference, *, brigade, street, postcode, article, pieces):
    """Book a delivery; returns the consignment number."""
    try:
        response = requests.post(
            f"{settings.SPEDITION_URL}/v2/bookings",
            json={
                "reference": reference,
                "consignee": {"name": brigade, "street": street, "postcode": postcode},
                "goods": {"article": article, "pieces": pieces},
            },
            headers={"Authorization": f"Bearer {settings.SPEDITION_TOKEN}"},
            timeout=TIMEOUT,
        )
    except requests.RequestException as exc:
        raise ForwarderUnavailable(type(exc).__name__) from exc
    if response.status_code in PASSING or response.status_code >= 500:
        raise ForwarderUnavailable(f"HTTP {response.status_code}")
    if response.status_code not in (200, 201, 409):
        raise ForwarderRefused(f"HTTP {response.status_code}")
    try:
        consignment = response.json()["consignment"]
    except (ValueError, KeyError, TypeError) as exc:
        raise ForwarderUnavailable("unreadable answer") from exc
    if not isinstance(consignment, str) or not 0 < len(consignment) <= 40:
        raise ForwarderUnavailable("answer without a consignment number")
    return consignment
