"""Textwire, our SMS provider. It answers a client_ref that it saw in the last 24 hours with the message of then."""

import httpx


class SmsGateway:
    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(10, connect=3),
        )

    async def send(self, phone: str, text: str, *, client_ref: str) -> str:
        """Returns the provider's message id; raises httpx.HTTPError."""
        answer = await self._http.post("/messages", json={"to": phone, "body": text, "client_ref": client_ref})
        answer.raise_for_status()
        return str(answer.json()["id"])

    async def aclose(self) -> None:
        await self._http.aclose()


def is_permanent(exc: Exception) -> bool:
    """The provider understood and refused: no number, no such route, blocked by the recipient."""
    return isinstance(exc, httpx.HTTPStatusError) and exc.response.status_code in (400, 404, 410, 422)
