"""The hub that tells the subscribers."""
import os

import httpx


class HubUnavailable(Exception):
    pass


class HubRefused(Exception):
    pass


async def announce(event, *, event_id):
    try:
        async with httpx.AsyncClient(timeout=15) as http:
            answer = await http.post(
                os.environ.get("WETTER_HUB_URL", "http://localhost:8099/events"),
                json=event,
                headers={
                    "Event-Id": event_id,
                    "Authorization": f"Bearer {os.environ.get('WETTER_HUB_TOKEN', '')}",
                },
            )
    except httpx.TransportError as error:
        raise HubUnavailable(type(error).__name__) from error
    if answer.status_code >= 500 or answer.status_code in (408, 425, 429):
        raise HubUnavailable(f"HTTP {answer.status_code}")
    if not answer.is_success:
        raise HubRefused(f"HTTP {answer.status_code}")
