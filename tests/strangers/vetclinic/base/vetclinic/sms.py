"""The SMS gateway. A client_ref that it has had within 48 hours is answered, but not texted again."""

import asyncio

import httpx

from . import config
from .errors import SmsDown, SmsRefused


async def send_text(*, to: str, text: str, client_ref: str) -> None:
    try:
        async with asyncio.timeout(config.CALL_SECONDS), httpx.AsyncClient(base_url=config.SMS_URL) as client:
            response = await client.post(
                "/messages",
                json={"to": to, "text": text, "client_ref": client_ref},
                headers={"Authorization": f"Bearer {config.SMS_TOKEN}"},
            )
    except (httpx.HTTPError, OSError) as exc:
        raise SmsDown(type(exc).__name__) from exc
    if response.status_code >= 500 or response.status_code in (401, 408, 425, 429):
        raise SmsDown(f"answered {response.status_code}")
    if response.status_code >= 400:
        raise SmsRefused(f"answered {response.status_code}")
