"""Client of the house's own mail relay.

The relay remembers the token of a letter for three days; a letter with a token it knows is not
mailed again, it answers with the id of the first one.
"""

import httpx

from .settings import Settings


class MailHouseDown(Exception):
    """No answer, or an answer that says later."""


class AddressRefused(Exception):
    """The relay will never mail to this address."""


class MailHouse:
    def __init__(self, settings: Settings) -> None:
        self._http = httpx.AsyncClient(
            base_url=settings.mailhouse_url,
            headers={"X-House-Token": settings.mailhouse_token},
            timeout=15,
        )

    async def send(self, *, to: str, subject: str, html: str, token: str) -> str:
        """Hands one letter over; returns the relay's id for it."""
        try:
            answer = await self._http.put(f"/letters/{token}", json={"to": to, "subject": subject, "html": html})
        except httpx.TransportError as exc:
            raise MailHouseDown(repr(exc)) from exc
        if answer.status_code in (400, 410, 422):
            raise AddressRefused(f"the relay answers {answer.status_code}")
        if answer.status_code >= 400:
            raise MailHouseDown(f"the relay answers {answer.status_code}")
        return answer.json()["id"]

    async def close(self) -> None:
        await self._http.aclose()
