import httpx


class DeliveryFailed(Exception):
    """The receiver has not taken the webhook."""


class Refused(DeliveryFailed):
    """It said no (4xx)."""


class Unreachable(DeliveryFailed):
    """It said nothing, or is in trouble (5xx)."""


def post(url, body, delivery_id):
    """Receivers throw away a delivery id that they have seen."""
    try:
        answer = httpx.post(url, content=body, headers={"X-Delivery-Id": str(delivery_id)}, timeout=10)
    except httpx.TransportError as error:
        raise Unreachable(str(error)) from error
    if answer.status_code >= 500:
        raise Unreachable(answer.status_code)
    if answer.status_code >= 400:
        raise Refused(answer.status_code)
