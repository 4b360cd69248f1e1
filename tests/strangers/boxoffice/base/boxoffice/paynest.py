"""A small SDK for Paynest, who moves the money."""
import httpx

from boxoffice import config


class PaynestError(Exception):
    pass


class PaynestUnavailable(PaynestError):
    """No answer, or one that says: later."""


class RefundRefused(PaynestError):
    """Paynest does not refund this charge, and it will not tomorrow."""


class AlreadyRefunded(PaynestError):
    """The charge was refunded before: by us, or on the dashboard."""

    def __init__(self, refund_id: str):
        super().__init__(refund_id)
        self.refund_id = refund_id


class Paynest:
    def __init__(self, url: str | None = None, secret: str | None = None):
        self._http = httpx.Client(
            base_url=url or config.PAYNEST_URL,
            auth=(secret or config.PAYNEST_SECRET, ""),
            timeout=15)

    def refund(self, charge_id: str, *, amount: int, currency: str, idempotency_key: str) -> dict:
        """Give money back; Paynest knows the idempotency key for 24 hours."""
        try:
            response = self._http.post(
                "/v1/refunds",
                json={"charge": charge_id, "amount": amount, "currency": currency},
                headers={"Idempotency-Key": idempotency_key})
        except httpx.TransportError as exc:
            raise PaynestUnavailable(f"refund of {charge_id}: {exc!r}") from exc
        if response.status_code == 409:
            raise AlreadyRefunded(response.json()["refund"]["id"])
        if response.status_code in (408, 425, 429) or response.status_code >= 500:
            raise PaynestUnavailable(f"refund of {charge_id}: {response.status_code}")
        if response.status_code >= 400:
            raise RefundRefused(f"refund of {charge_id}: {response.status_code} {response.text[:200]}")
        return response.json()
