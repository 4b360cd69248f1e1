"""The bank's payments API. A repetition under the same Idempotency-Key answers with the first payment."""

import httpx

from backoffice.config import Settings

# not the payment's fault: overload, or our own credentials, which somebody will mend
_TRY_LATER = {401, 403, 408, 425, 429}


class BankUnavailable(Exception):
    pass


class BankRejected(Exception):
    """The bank will not make this payment: account closed, IBAN wrong, and so on."""

    def __init__(self, code: str):
        super().__init__(code)
        self.code = code


class BankApi:
    def __init__(self, client: httpx.Client):
        self.client = client

    @classmethod
    def from_settings(cls) -> "BankApi":
        settings = Settings.from_env()
        return cls(
            httpx.Client(
                base_url=settings.bank_url,
                timeout=settings.bank_timeout,
                headers={"Authorization": f"Bearer {settings.bank_token}"},
            )
        )

    def transfer(self, *, iban: str, holder: str, amount_cents: int, reference: str, idempotency_key: str) -> dict:
        try:
            response = self.client.post(
                "/transfers",
                headers={"Idempotency-Key": idempotency_key},
                json={
                    "creditor": {"iban": iban, "name": holder},
                    "amount": {"value": amount_cents, "currency": "EUR"},
                    "reference": reference,
                },
            )
        except httpx.TransportError as error:
            raise BankUnavailable(f"{type(error).__name__}: {error}") from error
        if response.status_code >= 500 or response.status_code in _TRY_LATER:
            raise BankUnavailable(f"status {response.status_code}")
        if response.is_client_error:
            raise BankRejected(response.json().get("code", str(response.status_code)))
        return response.json()
