"""The partner's key API.

The partner keeps the Idempotency-Key with the key it made, for as long as that key
lives: the same header gets the same key back, however late (their docs, "Safe retries").
"""

import httpx

from cloudkeys.settings import Settings


class PartnerUnavailable(Exception):
    """Down, overloaded or no answer: worth another try."""


class PartnerRefused(Exception):
    """The partner has read the request and does not want it."""


def make_http(settings: Settings) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=settings.partner_url,
        headers={"Authorization": f"Bearer {settings.partner_token.get_secret_value()}"},
        timeout=httpx.Timeout(10.0, connect=5.0),
    )


class PartnerClient:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def create_key(self, *, tenant: str, scope: str, idempotency_key: str) -> dict:
        """Returns {"key_id": ..., "fingerprint": ...}; the secret goes to the tenant's vault."""
        try:
            response = await self._http.post(
                "/v1/keys",
                json={"tenant": tenant, "scope": scope},
                headers={"Idempotency-Key": idempotency_key},
            )
        except httpx.RequestError as exc:
            raise PartnerUnavailable(f"{type(exc).__name__}: {exc}") from exc
        # 409 is "the first call with this key is still running"
        if response.status_code in (408, 409, 425, 429) or response.status_code >= 500:
            raise PartnerUnavailable(f"HTTP {response.status_code}")
        if response.is_error:
            raise PartnerRefused(f"HTTP {response.status_code}: {response.text[:200]}")
        return response.json()

    async def aclose(self) -> None:
        await self._http.aclose()
