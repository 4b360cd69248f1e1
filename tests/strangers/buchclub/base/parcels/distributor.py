import requests
from django.conf import settings

from .errors import DistributorAway, Rejected

TEMPORARY = {401, 403, 408, 425, 429}


class Distributor:
    """The wholesaler's order API. A reference is one order: repeated within 60 days, it answers with the first."""

    def __init__(self, session: requests.Session | None = None):
        self.session = session or requests.Session()

    def order(self, *, reference: str, isbn: str, name: str, address: str) -> str:
        try:
            answer = self.session.post(
                f"{settings.DISTRIBUTOR_URL}/orders",
                json={
                    "reference": reference,
                    "items": [{"isbn": isbn, "quantity": 1}],
                    "deliver_to": {"name": name, "address": address},
                },
                headers={"Authorization": f"Bearer {settings.DISTRIBUTOR_TOKEN}"},
                timeout=(5, 25),
            )
        except requests.RequestException as error:
            raise DistributorAway(type(error).__name__) from None
        if answer.status_code >= 500 or answer.status_code in TEMPORARY:
            raise DistributorAway(f"HTTP {answer.status_code}")
        if answer.status_code not in (200, 201):
            raise Rejected(f"HTTP {answer.status_code}")
        try:
            return answer.json()["order_number"]
        except (ValueError, KeyError, TypeError):
            raise DistributorAway("an answer without an order number") from None
