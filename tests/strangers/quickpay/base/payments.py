import os

import requests


class Declined(Exception):
    """The bank said no. Nothing was charged, and nothing will be."""


def charge(customer, amount, key):
    r = requests.post(
        os.environ.get("PAYMENTS_URL", "https://api.payments.example") + "/v1/charges",
        json={"customer": customer, "amount": amount, "currency": "eur"},
        headers={"Authorization": "Bearer " + os.environ.get("PAYMENTS_KEY", ""), "Idempotency-Key": key},
        timeout=15,
    )
    if r.status_code == 402:
        raise Declined(r.text[:200])
    r.raise_for_status()
    return r.json()["id"]
