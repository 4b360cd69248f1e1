from dataclasses import dataclass, field

import httpx

from pfandhaus import settings

LATER = {408, 409, 425, 429}


class BankUnavailable(Exception):
    """No answer, or one that says nothing about the payment."""


class PaymentRejected(Exception):
    """The bank will not make this payment."""


@dataclass(frozen=True)
class Transfer:
    iban: str = field(repr=False)
    amount_cents: int
    purpose: str


class BankClient:
    def transfer(self, transfer: Transfer, *, end_to_end_id: str) -> str:
        """The bank's reference. Under an end-to-end id that it has seen it answers with the same one (60 days)."""
        try:
            response = httpx.post(
                f"{settings.BANK_URL}/credit-transfers",
                headers={"Authorization": f"Bearer {settings.BANK_TOKEN}"},
                json={
                    "end_to_end_id": end_to_end_id,
                    "creditor_iban": transfer.iban,
                    "amount": {"currency": "EUR", "cents": transfer.amount_cents},
                    "remittance": transfer.purpose,
                },
                timeout=settings.BANK_TIMEOUT,
            )
        except httpx.RequestError as exc:
            raise BankUnavailable(type(exc).__name__) from None
        if response.status_code in LATER or response.status_code >= 500:
            raise BankUnavailable(f"HTTP {response.status_code}")
        if not response.is_success:
            raise PaymentRejected(f"HTTP {response.status_code}")
        try:
            reference = response.json()["reference"]
        except (ValueError, KeyError, TypeError):
            reference = None
        if not isinstance(reference, str) or not reference:
            raise BankUnavailable("no reference in the answer")
        return reference


bank = BankClient()
