import asyncio
import hashlib
import hmac
import time

import aiohttp

from streambox.settings import settings


class WebhookDown(Exception):
    """No answer in time, or one that says "later". It may have arrived."""


class WebhookRejected(Exception):
    """The customer's server does not want it: 4xx."""


def sign(secret, timestamp, body):
    mac = hmac.new(secret.encode(), f"{timestamp}.{body}".encode(), hashlib.sha256)
    return f"t={timestamp},v1={mac.hexdigest()}"


async def post_webhook(url, secret, event_id, body):
    headers = {
        "Content-Type": "application/json",
        "X-Streambox-Event": event_id,
        "X-Streambox-Signature": sign(secret, int(time.time()), body),
    }
    try:
        async with asyncio.timeout(settings.post_timeout):
            async with aiohttp.ClientSession() as session:
                async with session.post(url, data=body.encode(), headers=headers, allow_redirects=False) as r:
                    status = r.status
    except (aiohttp.ClientError, TimeoutError, OSError) as e:
        raise WebhookDown(f"{type(e).__name__}: {e}") from e
    if status in (408, 409, 425, 429) or status >= 500:
        raise WebhookDown(f"HTTP {status}")
    if status >= 300:
        raise WebhookRejected(f"HTTP {status}")
    return status
