"""The pager's events API.

An event with a dedup_key that the pager has seen joins the incident that is there; nobody
is woken twice, and the receipt is the same. It forgets a key 30 days after the incident.
"""

import asyncio

import aiohttp


class PagerDown(Exception):
    """Unreachable, overloaded or silent."""


class PagerRejected(Exception):
    """The pager has understood, and will not page anybody for this."""


class PagerClient:
    def __init__(self, url: str, key: str) -> None:
        self._session = aiohttp.ClientSession(
            base_url=url,
            headers={"X-Routing-Key": key},
            timeout=aiohttp.ClientTimeout(total=15, connect=5),
        )

    async def trigger(self, *, dedup_key: str, severity: str, source: str, summary: str) -> str:
        """Wake somebody up; the pager's receipt."""
        event = {"dedup_key": dedup_key, "severity": severity, "source": source, "summary": summary}
        try:
            async with self._session.post("/v2/events", json=event) as response:
                text = await response.text()
                if response.status in (408, 425, 429) or response.status >= 500:
                    raise PagerDown(f"HTTP {response.status}")
                if response.status >= 400:
                    raise PagerRejected(f"HTTP {response.status}: {text[:200]}")
                return (await response.json())["receipt"]
        except (aiohttp.ClientError, asyncio.TimeoutError) as exc:
            raise PagerDown(f"{type(exc).__name__}: {exc}") from exc

    async def close(self) -> None:
        await self._session.close()
