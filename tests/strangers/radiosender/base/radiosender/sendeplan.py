"""The scheduling house."""
import httpx

from radiosender import settings
from radiosender.errors import SendeplanAway, SlotRefused


class Sendeplan:
    def __init__(self, transport: httpx.AsyncBaseTransport | None = None):
        self._http = httpx.AsyncClient(
            base_url=settings.SENDEPLAN_URL,
            headers={"Authorization": f"Bearer {settings.SENDEPLAN_TOKEN}"},
            timeout=15,
            transport=transport,
        )

    async def reserve(self, reservation_id: str, wanted_at: str, seconds: int) -> str:
        """The slot. The same id with the same wish gets the same slot."""
        try:
            answer = await self._http.put(
                f"/reservations/{reservation_id}", json={"at": wanted_at, "seconds": seconds}
            )
        except httpx.HTTPError as exc:
            raise SendeplanAway(type(exc).__name__) from exc
        if answer.status_code in (409, 422):
            raise SlotRefused(f"HTTP {answer.status_code}")
        if not answer.is_success:
            raise SendeplanAway(f"HTTP {answer.status_code}")
        try:
            return answer.json()["slot"]
        except (ValueError, KeyError, TypeError) as exc:
            raise SendeplanAway("unreadable answer") from exc

    async def aclose(self) -> None:
        await self._http.aclose()
