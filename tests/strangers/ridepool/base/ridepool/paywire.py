"""Paywire sends money to drivers' accounts.

POST /payouts with an Idempotency-Key that was used in the last seven days is answered with the payout that was made
under it; no second one is made. 409 says that the first request with this key is still at work.
"""

import requests

from ridepool import settings


class PaywireDown(Exception):
    """Nobody knows whether the money is on its way; ask again with the same key."""


class PaywireRefused(Exception):
    """No money moves, and asking again will not change that."""


class Paywire:
    TIMEOUT = (5, 25)

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {settings.PAYWIRE_TOKEN}"

    def __enter__(self) -> "Paywire":
        return self

    def __exit__(self, *_) -> None:
        self._session.close()

    def pay(self, *, account: str, cents: int, idempotency_key: str) -> str:
        """The reference of the payout."""
        try:
            response = self._session.post(
                f"{settings.PAYWIRE_URL}/payouts",
                json={"account": account, "amount": cents, "currency": "CHF"},
                headers={"Idempotency-Key": idempotency_key},
                timeout=self.TIMEOUT,
            )
            if response.status_code in (400, 401, 403, 404, 422):
                raise PaywireRefused(f"HTTP {response.status_code}")
            response.raise_for_status()
            return str(response.json()["reference"])
        except requests.HTTPError as error:
            raise PaywireDown(f"HTTP {error.response.status_code}") from error
        except (requests.RequestException, KeyError, TypeError) as error:
            raise PaywireDown(type(error).__name__) from error
