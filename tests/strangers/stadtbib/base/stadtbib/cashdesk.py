"""The city's cash desk. It knows a booking again by its Idempotency-Key for 30
days and answers a repetition with the first receipt."""
import requests

from . import settings


def book_fee(account, cents, purpose, idempotency_key):
    """Book a fee on a reader's account; returns the number of the receipt."""
    answer = requests.post(
        f"{settings.CASHDESK_URL}/bookings",
        json={"account": account, "cents": cents, "purpose": purpose},
        headers={
            "Authorization": f"Bearer {settings.CASHDESK_TOKEN}",
            "Idempotency-Key": idempotency_key,
        },
        timeout=(5, 20),
    )
    answer.raise_for_status()
    return answer.json()["receipt"]
