import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator

import httpx


async def get_http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=httpx.Timeout(15, connect=5), follow_redirects=False) as client:
        yield client


def sign(secret: str, event_id: str, timestamp: int, body: str) -> str:
    digest = hmac.new(secret.encode(), f"{event_id}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


async def post_event(http: httpx.AsyncClient, url: str, secret: str, *, event_id: str, body: str) -> None:
    """One POST to a customer. Raises httpx.HTTPStatusError for whatever is not 2xx."""
    timestamp = int(time.time())
    answer = await http.post(
        url,
        content=body,
        headers={
            "Content-Type": "application/json",
            "Webhook-Id": event_id,
            "Webhook-Timestamp": str(timestamp),
            "Webhook-Signature": sign(secret, event_id, timestamp, body),
        },
    )
    answer.raise_for_status()
