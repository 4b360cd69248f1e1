import requests


class FarmBankError(Exception):
    pass


class BankUnavailable(FarmBankError):
    """No answer, or none that says anything about the transfer."""


class TransferRefused(FarmBankError):
    """The bank will not make this transfer: closed account, bad IBAN, limit ..."""


class DuplicateTransfer(FarmBankError):
    """There is a transfer under this reference already; the argument is its id."""

    @property
    def transfer_id(self) -> str:
        return self.args[0]


class FarmBank:
    """The bank keeps references for good: it never makes two transfers under one."""

    def __init__(self, url: str, token: str, session: requests.Session | None = None) -> None:
        self.url = url.rstrip("/")
        self.session = session or requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"

    def transfer(self, *, reference: str, iban: str, amount_cents: int, text: str = "") -> str:
        """Send money; the id of the transfer."""
        body = {"reference": reference, "iban": iban, "amount": amount_cents, "currency": "CHF", "text": text}
        try:
            response = self.session.post(f"{self.url}/transfers", json=body, timeout=(5, 20))
        except requests.RequestException as exc:
            raise BankUnavailable(f"{type(exc).__name__}: {exc}") from exc
        if response.status_code == 409:
            raise DuplicateTransfer(response.json()["transfer_id"])
        if response.status_code in (408, 425, 429) or response.status_code >= 500:
            raise BankUnavailable(f"HTTP {response.status_code}")
        if not response.ok:
            raise TransferRefused(f"HTTP {response.status_code}: {response.text[:200]}")
        try:
            return response.json()["transfer_id"]
        except (ValueError, KeyError) as exc:
            # it was accepted, but we cannot read under which id: ask again
            raise BankUnavailable("answer cannot be read") from exc
