"""The laboratory. It forgets an Idempotency-Key after a day, but finds an order by our reference for years."""

import asyncio

import httpx

from . import config
from .errors import LabDown, LabRefused


async def find_order(reference: str) -> str | None:
    answer = await _call("get", "/orders", params={"reference": reference})
    orders = answer.get("orders") or []
    return str(orders[0]["id"]) if orders else None


async def place_order(*, reference: str, panel: str, animal: str, idempotency_key: str) -> str:
    answer = await _call(
        "post",
        "/orders",
        json={"reference": reference, "panel": panel, "animal": animal},
        headers={"Idempotency-Key": idempotency_key},
    )
    try:
        return str(answer["id"])
    except KeyError:
        raise LabDown("an answer without id") from None


async def _call(verb: str, path: str, headers: dict | None = None, **more) -> dict:
    headers = {"Authorization": f"Bearer {config.LAB_TOKEN}", **(headers or {})}
    try:
        async with asyncio.timeout(config.CALL_SECONDS), httpx.AsyncClient(base_url=config.LAB_URL) as client:
            response = await getattr(client, verb)(path, headers=headers, **more)
    except (httpx.HTTPError, OSError) as exc:  # TimeoutError is an OSError
        raise LabDown(type(exc).__name__) from exc
    if response.status_code >= 500 or response.status_code in (401, 408, 425, 429):
        raise LabDown(f"answered {response.status_code}")
    if response.status_code >= 400:
        raise LabRefused(f"answered {response.status_code}")
    try:
        answer = response.json()
    except ValueError:
        raise LabDown("an answer that is no JSON") from None
    if not isinstance(answer, dict):
        raise LabDown("an answer of another shape")
    return answer
