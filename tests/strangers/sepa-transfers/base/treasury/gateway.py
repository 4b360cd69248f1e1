"""Adapter of the clearing gateway (pain.001 over JSON)."""

import httpx

from treasury import errors

TIMEOUT = httpx.Timeout(20.0, connect=5.0)


class HttpSepaGateway:
    def __init__(self, base_url: str, token: str) -> None:
        self._base_url = base_url
        self._token = token

    def submit(
        self, *, end_to_end_id: str, debtor_iban: str, creditor_iban: str, amount_cents: int, currency: str
    ) -> str:
        try:
            response = httpx.post(
                f"{self._base_url}/credit-transfers",
                json={
                    "endToEndId": end_to_end_id,
                    "debtor": {"iban": debtor_iban},
                    "creditor": {"iban": creditor_iban},
                    "amount": {"value": f"{amount_cents // 100}.{amount_cents % 100:02d}", "currency": currency},
                },
                headers={"Authorization": f"Bearer {self._token}"},
                timeout=TIMEOUT,
            )
        except httpx.TransportError as error:
            raise errors.GatewayUnavailable(f"{type(error).__name__}: {error}") from error
        if response.status_code == 409:
            raise errors.AlreadyInstructed(end_to_end_id)
        if response.status_code in (400, 404, 422):
            raise errors.TransferRejected(f"{response.status_code}: {response.text[:200]}")
        if response.is_error:  # 401 and 403 as well: a token that expired is ours to mend, not the customer's
            raise errors.GatewayUnavailable(f"answered {response.status_code}")
        try:
            return response.json()["reference"]
        except (ValueError, KeyError, TypeError) as error:
            raise errors.GatewayUnavailable(f"unreadable answer: {response.text[:200]}") from error
