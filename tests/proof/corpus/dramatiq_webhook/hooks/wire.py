"""The subscribers' end: it drops an event whose delivery id it has seen."""

import asyncio
import json
import urllib.request


class Unreachable(Exception):
    """The subscriber is down or too busy: later it may work."""


class Gone(Exception):
    """The subscriber said 410: it wants no more."""


async def post(url: str, event: dict, *, delivery_id: str) -> None:
    """Posts one event. Raises Unreachable, TimeoutError or Gone."""
    body = json.dumps(event).encode()
    request = urllib.request.Request(url, body, {"Delivery-Id": delivery_id})
    await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=10).close())
