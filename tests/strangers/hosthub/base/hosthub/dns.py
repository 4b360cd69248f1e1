"""Our DNS, behind an API."""
import httpx

from hosthub.settings import get_settings


class DnsUnavailable(Exception):
    pass


class DnsRejected(Exception):
    pass


async def point(hostname: str, ip: str) -> None:
    """Set the A record of a name; whatever it was before is replaced."""
    settings = get_settings()
    try:
        async with httpx.AsyncClient(base_url=settings.dns_url, timeout=10) as http:
            response = await http.put(
                f"/records/{hostname}/A",
                json={"values": [ip], "ttl": 300},
                headers={"X-Api-Key": settings.dns_token},
            )
    except httpx.TransportError as exc:
        raise DnsUnavailable(repr(exc)) from exc
    if response.status_code in (408, 429) or response.status_code >= 500:
        raise DnsUnavailable(f"status {response.status_code}")
    if response.status_code >= 400:
        raise DnsRejected(f"status {response.status_code}: {response.text[:200]}")
