import requests
from django.conf import settings

PASSING_STATUS = {408, 409, 425, 429}


class LaboratoryAway(Exception):
    """No answer that says anything about the order."""


class LaboratoryRefused(Exception):
    """The laboratory will not make these lenses."""


class Laboratory:
    def __init__(self):
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {settings.LAB_TOKEN}"

    def order(self, request_key, lens, right, left):
        """The laboratory's reference. The same request_key is the same order there."""
        try:
            response = self.session.post(
                f"{settings.LAB_URL}/orders",
                json={"lens": lens, "right": {"sphere": str(right)}, "left": {"sphere": str(left)}},
                headers={"Idempotency-Key": str(request_key)},
                timeout=settings.LAB_TIMEOUT,
            )
            response.raise_for_status()
            return str(response.json()["reference"])
        except requests.HTTPError as error:
            status = error.response.status_code
            if status >= 500 or status in PASSING_STATUS:
                raise LaboratoryAway(f"status {status}") from None
            raise LaboratoryRefused(f"status {status}") from None
        except (requests.RequestException, KeyError, TypeError, ValueError) as error:
            raise LaboratoryAway(type(error).__name__) from None
