"""LogiHub's API. A reference is taken once and for good: sending it again is answered with 409."""

from __future__ import annotations

from typing import Any

import requests
from django.conf import settings

TIMEOUT = (5, 25)  # connect, read
# Everything else may pass: 401 and 403 are a token that we have to mend, 408 and 429 a busy hour, 5xx an outage.
REFUSALS = frozenset({400, 404, 410, 413, 422})


class PartnerUnavailable(Exception):
    """LogiHub may or may not have the order; ask again later."""


class PartnerRefused(Exception):
    """LogiHub will not take the order as it is."""


def push(reference: str, document: dict[str, Any]) -> None:
    """Returns when LogiHub has the order."""
    try:
        response = requests.post(
            f"{settings.PARTNER_URL}/v3/orders",
            json={"reference": reference, **document},
            headers={"Authorization": f"Bearer {settings.PARTNER_TOKEN}"},
            timeout=TIMEOUT,
            allow_redirects=False,
        )
        response.raise_for_status()
    except requests.HTTPError as error:
        _judge(error)
        return
    except requests.RequestException as error:
        raise PartnerUnavailable(repr(error)) from error
    if response.status_code >= 300:
        raise PartnerUnavailable(f"redirected, status {response.status_code}")


def _judge(error: requests.HTTPError) -> None:
    status = error.response.status_code
    if status == 409:
        return  # an earlier attempt got through, and its answer was lost
    if status in REFUSALS:
        raise PartnerRefused(f"status {status}: {error.response.text[:200]}") from error
    raise PartnerUnavailable(f"status {status}") from error
