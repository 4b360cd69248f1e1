import json

import urllib3

from .settings import settings


class PaymentsAway(Exception):
    """Whether the refund was made is not known."""


class RefundRefused(Exception):
    """It was not made and will not be."""


class PaymentProvider:
    def __init__(self):
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(total=30, connect=5))

    def refund(self, charge_id, cents, *, idempotency_key):
        """The refund's id. The provider keeps keys for 24 hours and repeats its answer under the same one."""
        try:
            answer = self._pool.request(
                "POST",
                f"{settings.payments_url}/refunds",
                body=json.dumps({"charge": charge_id, "amount": cents}).encode(),
                headers={
                    "Authorization": f"Bearer {settings.payments_key}",
                    "Content-Type": "application/json",
                    "Idempotency-Key": idempotency_key,
                },
            )
        except urllib3.exceptions.HTTPError as exc:
            raise PaymentsAway(type(exc).__name__) from None
        if answer.status in (408, 409, 425, 429) or answer.status >= 500:
            raise PaymentsAway(f"HTTP {answer.status}")
        if not 200 <= answer.status < 300:
            raise RefundRefused(f"HTTP {answer.status}")
        try:
            refund_id = json.loads(answer.data)["id"]
        except (ValueError, KeyError, TypeError):
            refund_id = None
        if not isinstance(refund_id, str) or not refund_id:
            raise PaymentsAway("answer without an id")
        return refund_id


provider = PaymentProvider()
