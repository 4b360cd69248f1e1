import httpx

from .settings import settings


class Carrier:
    """The carrier's provisioning API. Raises httpx's own errors."""

    async def activate(self, iccid, plan, idempotency_key):
        """Switch a profile on. 409 says that it is on already."""
        async with httpx.AsyncClient(base_url=settings.carrier_url, timeout=10) as http:
            answer = await http.post(
                f"/profiles/{iccid}/activation",
                json={"plan": plan},
                headers={
                    "Authorization": f"Bearer {settings.carrier_token}",
                    "Idempotency-Key": idempotency_key,
                },
            )
            answer.raise_for_status()
