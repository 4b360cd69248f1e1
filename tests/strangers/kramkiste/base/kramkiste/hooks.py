"""Webhooks to sellers' shops, signed over the bytes of the body."""
import hashlib
import hmac
import json

import httpx


class HookDown(Exception):
    pass


class HookRefused(Exception):
    pass


def sign(secret, body):
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


async def deliver(url, secret, event, event_id):
    body = json.dumps(event, sort_keys=True).encode()
    headers = {
        "Content-Type": "application/json",
        "X-Event-Id": event_id,
        "X-Signature": sign(secret, body),
    }
    try:
        async with httpx.AsyncClient(timeout=15) as client:
            answer = await client.post(url, content=body, headers=headers)
    except httpx.TransportError as e:
        raise HookDown(type(e).__name__) from None
    except httpx.InvalidURL:
        raise HookRefused("invalid url") from None
    if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
        raise HookDown(str(answer.status_code))
    if not answer.is_success:
        raise HookRefused(str(answer.status_code))
