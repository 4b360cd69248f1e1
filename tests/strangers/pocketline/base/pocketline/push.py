import httpx

from .settings import settings


async def notify(device, text, *, collapse_id):
    """Phones show one notification per collapse_id; the service keeps it a week."""
    async with httpx.AsyncClient(base_url=settings.push_url, timeout=10) as http:
        answer = await http.post(
            f"/devices/{device}/messages", json={"text": text, "collapse_id": collapse_id}
        )
        answer.raise_for_status()
