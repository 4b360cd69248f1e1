import httpx

from . import config


class Garbled(Exception):
    """An answer without a ticket."""


class Authority:
    def __init__(self, transport=None):
        self.transport = transport

    def transmit(self, *, transmission_no, employer_no, period, gross_cents):
        """The authority's ticket. A transmission number is taken once; later it answers 409, and the same ticket."""
        body = {
            "transmission_no": transmission_no,
            "employer_no": employer_no,
            "period": period,
            "gross_cents": gross_cents,
        }
        headers = {"Authorization": f"Bearer {config.AUTHORITY_TOKEN}"}
        with httpx.Client(transport=self.transport, timeout=20, headers=headers) as client:
            response = client.post(f"{config.AUTHORITY_URL}/transmissions", json=body)
        if response.status_code != 409:
            response.raise_for_status()
        try:
            return str(response.json()["ticket"])
        except (ValueError, KeyError, TypeError):
            raise Garbled(f"status {response.status_code} without a ticket") from None
