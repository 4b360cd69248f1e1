"""One worker at a time per webhook: a token in Redis that belongs to whoever set it."""
import uuid
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.exceptions import WatchError

from streambox.settings import settings


class Busy(Exception):
    """Another worker has the token, or died with it; it expires."""


def redis_client():
    return Redis.from_url(settings.redis)


@asynccontextmanager
async def token(name):
    key, owner = f"token:{name}", uuid.uuid4().hex
    async with redis_client() as redis:
        if not await redis.set(key, owner, nx=True, ex=settings.token_ttl):
            raise Busy(name)
        try:
            yield owner
        finally:
            await release(redis, key, owner)


async def release(redis, key, owner):
    """Ours may have expired meanwhile: never take away somebody else's."""
    async with redis.pipeline() as pipe:
        try:
            await pipe.watch(key)
            if await pipe.get(key) == owner.encode():
                pipe.multi()
                pipe.delete(key)
                await pipe.execute()
        except WatchError:
            pass
