"""Textbee, the SMS provider."""
import httpx

from clinicsync.config import settings


class SmsError(Exception):
    pass


class SmsUnavailable(SmsError):
    """Down, slow or throttling us. Later, maybe."""


class SmsRejected(SmsError):
    """They read it and said no: bad number, blocked, no credit for this country."""


class SmsClient:
    def __init__(self, http: httpx.AsyncClient | None = None):
        self.http = http or httpx.AsyncClient(
            base_url=settings().sms_url,
            headers={"X-Api-Key": settings().sms_token},
            timeout=8,
        )

    async def send(self, *, to: str, text: str, client_ref: str) -> str:
        """Returns Textbee's message id; the same one for the same client_ref."""
        try:
            r = await self.http.post("/messages", json={"to": to, "text": text, "client_ref": client_ref})
        except httpx.TransportError as exc:
            raise SmsUnavailable(repr(exc)) from exc
        if r.status_code == 429 or r.status_code >= 500:
            raise SmsUnavailable(f"HTTP {r.status_code}")
        if r.status_code >= 400:
            raise SmsRejected(f"HTTP {r.status_code}: {r.text[:200]}")
        return r.json()["message_id"]

    async def aclose(self) -> None:
        await self.http.aclose()
