"""PayDesk, the payment provider."""
import httpx

from museum.settings import settings


class PayDeskAway(Exception):
    """No answer, or one that says later. The money may have moved."""


class RefundRefused(Exception):
    """PayDesk has looked at it and will not."""


class PayDesk:
    async def refund(self, payment_id: str, amount_cents: int, request_id: str) -> str:
        headers = {
            "Authorization": f"Bearer {settings.paydesk_key.get_secret_value()}",
            "Request-Id": request_id,
        }
        try:
            async with httpx.AsyncClient(base_url=settings.paydesk_url, headers=headers, timeout=12) as client:
                response = await client.post(f"/payments/{payment_id}/refunds", json={"amount": amount_cents})
        except httpx.HTTPError as exc:
            raise PayDeskAway(type(exc).__name__) from exc
        if response.status_code in (408, 409, 425, 429) or response.status_code >= 500:
            raise PayDeskAway(f"HTTP {response.status_code}")
        if response.is_error:
            raise RefundRefused(f"HTTP {response.status_code}")
        try:
            return str(response.json()["refund"]["id"])
        except (ValueError, KeyError, TypeError):
            raise PayDeskAway(f"HTTP {response.status_code} without a refund") from None
