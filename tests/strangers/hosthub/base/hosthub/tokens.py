"""What the cloud has made for a server, kept in Redis until the row has it too."""
import json

from redis.asyncio import Redis

from hosthub.settings import get_settings

KEPT = 7 * 24 * 3600


def _redis() -> Redis:
    return Redis.from_url(get_settings().redis_url)


def _key(server_id: int) -> str:
    return f"hosthub:made:{server_id}"


async def recall(server_id: int) -> dict | None:
    async with _redis() as redis:
        found = await redis.get(_key(server_id))
    return json.loads(found) if found else None


async def remember(server_id: int, machine: dict) -> None:
    async with _redis() as redis:
        await redis.set(_key(server_id), json.dumps(machine), ex=KEPT)
