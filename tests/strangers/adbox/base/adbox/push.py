"""The desk's phone. Raises what httpx raises."""

import httpx

from . import config


def notify(title, body, dedupe_id):
    """The service shows a dedupe_id once and answers 409 to every other time, for a week."""
    httpx.post(
        config.PUSH["url"],
        json={"title": title, "body": body},
        headers={"Authorization": f"Bearer {config.PUSH_TOKEN}", "X-Dedupe-Id": dedupe_id},
        timeout=10,
    ).raise_for_status()
