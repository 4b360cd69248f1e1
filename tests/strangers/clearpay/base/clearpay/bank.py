"""The bank's payments API. The client sends once; trying again is the job's business."""
import httpx

from .settings import settings


class BankUnavailable(Exception):
    """No answer, or one that may be another next time."""


class BankRejected(Exception):
    """The bank will not pay this."""


class AlreadyExecuted(Exception):
    def __init__(self, bank_ref: str):
        super().__init__(bank_ref)
        self.bank_ref = bank_ref


class BankClient:
    def __init__(self, transport: httpx.BaseTransport | None = None):
        self._http = httpx.Client(
            base_url=settings.bank_url,
            headers={"Authorization": f"Bearer {settings.bank_token.get_secret_value()}"},
            timeout=settings.bank_timeout,
            transport=transport or httpx.HTTPTransport(retries=0),
        )

    def pay(self, *, iban: str, amount_cents: int, idempotency_key: str) -> str:
        try:
            answer = self._http.post(
                "/payments",
                json={"creditor": iban, "amount": amount_cents, "currency": "CHF", "end_to_end_id": idempotency_key},
                headers={"Idempotency-Key": idempotency_key},
            )
        except httpx.TransportError as exc:
            raise BankUnavailable(type(exc).__name__) from None
        if answer.status_code == 409:
            ref = _field(answer, "payment_id")
            if ref:
                raise AlreadyExecuted(ref)
            raise BankUnavailable("409: in progress")
        if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
            raise BankUnavailable(str(answer.status_code))
        ref = _field(answer, "payment_id")
        if answer.is_success:
            if not ref:
                raise BankUnavailable("answer without payment_id")
            return ref
        raise BankRejected(f"{answer.status_code} {_field(answer, 'code') or ''}".strip())


def _field(answer: httpx.Response, name: str) -> str | None:
    try:
        body = answer.json()
    except ValueError:
        return None
    return body.get(name) if isinstance(body, dict) else None
