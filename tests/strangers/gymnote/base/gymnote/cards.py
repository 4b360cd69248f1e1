"""PlasticPay charges cards. A charge with a key that it knows (24 hours) is not made again."""

import requests

from gymnote import config
from gymnote.errors import Permanent


class CardsDown(Exception):
    """Nobody knows whether the charge was made."""


class CardDeclined(Permanent):
    pass


class CardDesk:
    def __init__(self):
        self.http = requests.Session()
        self.http.auth = (config.CARDS_KEY, "")

    def charge(self, card_token, cents, text, idempotency_key):
        """Charge a card; the id of the charge."""
        try:
            answer = self.http.post(
                f"{config.CARDS_URL}/charges",
                data={"source": card_token, "amount": cents, "currency": "eur", "description": text},
                headers={"Idempotency-Key": idempotency_key},
                timeout=20,
            )
        except requests.RequestException as error:
            raise CardsDown(repr(error)) from error
        if answer.status_code == 402:
            raise CardDeclined(answer.text[:200])
        if answer.status_code in (400, 401, 403, 404, 422):
            raise Permanent(f"PlasticPay says {answer.status_code}: {answer.text[:200]}")
        if answer.status_code not in (200, 201):
            raise CardsDown(f"PlasticPay says {answer.status_code}")
        return answer.json()["id"]
