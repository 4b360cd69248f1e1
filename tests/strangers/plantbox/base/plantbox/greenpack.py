"""Greenpack, who pack and send our boxes."""

import httpx

from plantbox.config import config


class GreenpackDown(Exception):
    """No answer, or one that asks for patience. The parcel may be there."""


class GreenpackRefused(Exception):
    """They will not send this, today or tomorrow."""


class AlreadyShipped(Exception):
    """The parcel of this number has left the house. The argument is its reference."""

    def __init__(self, reference: str) -> None:
        super().__init__(reference)
        self.reference = reference


async def put_parcel(*, number: str, sku: str, ship_to: dict) -> dict:
    """Order the parcel with this number, or find it ordered; {"reference": ...} either way."""
    try:
        async with httpx.AsyncClient(base_url=config.greenpack_url, timeout=httpx.Timeout(20, connect=5)) as client:
            response = await client.put(
                f"/v1/parcels/{number}",
                json={"items": [{"sku": sku, "quantity": 1}], "to": ship_to},
                headers={"X-Api-Key": config.greenpack_key},
            )
    except httpx.RequestError as exc:
        raise GreenpackDown(type(exc).__name__) from exc
    status = response.status_code
    if status in (408, 423, 425, 429) or status >= 500:
        raise GreenpackDown(f"HTTP {status}")
    if status >= 300 and status != 409:
        raise GreenpackRefused(f"HTTP {status}")
    try:
        reference = str(response.json()["reference"])
    except (ValueError, KeyError, TypeError) as exc:
        raise GreenpackDown(f"HTTP {status} without a reference") from exc
    if status == 409:
        raise AlreadyShipped(reference)
    return {"reference": reference}
