import httpx

from paykit.errors import CardDeclined, PayRefused, PayUnavailable

LATER = {408, 409, 425, 429}


class PayClient:
    """A charge with a known idempotency key is answered with the charge that was made under it."""

    def __init__(self, url: str, token: str, *, timeout: float = 15.0) -> None:
        self._http = httpx.AsyncClient(
            base_url=url, timeout=timeout, headers={"Authorization": f"Bearer {token}"}
        )

    async def __aenter__(self) -> "PayClient":
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._http.aclose()

    async def charge(self, *, idempotency_key: str, student_id: str, amount_cents: int) -> dict:
        """{"id": "ch_..."}"""
        try:
            answer = await self._http.post(
                "/v3/charges",
                json={"payer": student_id, "amount": amount_cents, "currency": "EUR"},
                headers={"Idempotency-Key": idempotency_key},
            )
        except httpx.RequestError as exc:
            raise PayUnavailable(type(exc).__name__) from exc
        if answer.status_code == 402:
            raise CardDeclined("HTTP 402")
        if answer.status_code in LATER or answer.status_code >= 500:
            raise PayUnavailable(f"HTTP {answer.status_code}")
        if answer.status_code >= 300:
            raise PayRefused(f"HTTP {answer.status_code}")
        try:
            return {"id": str(answer.json()["id"])}
        except (ValueError, KeyError, TypeError) as exc:
            raise PayUnavailable("an answer that makes no sense") from exc
