"""One worker at a time renders an insertion.

Rendering is dear, so we would rather not do it twice; nothing breaks if a lease runs out while its holder still
works, because what follows is safe to do twice.
"""
import logging
import secrets
from contextlib import contextmanager

from redis import Redis, RedisError, WatchError

from podcastads import config

logger = logging.getLogger(__name__)

SECONDS = 60  # longer than a job may run, see queues.JOB_TIMEOUT


class Taken(Exception):
    """Somebody else is at it, or died at it less than a minute ago."""


def redis():
    return Redis.from_url(config.redis_url())


@contextmanager
def hold(name):
    connection, key, token = redis(), f"podcastads:lease:{name}", secrets.token_hex(16)
    if not connection.set(key, token, nx=True, ex=SECONDS):
        raise Taken(name)
    try:
        yield
    finally:
        try:
            delete_if(connection, key, token)
        except RedisError as exc:
            logger.warning("lease of %s not given back, it will run out: %s", name, type(exc).__name__)


def delete_if(connection, key, token):
    """Delete the key if it still holds our token: by now it may be somebody else's."""
    with connection.pipeline() as pipe:
        try:
            pipe.watch(key)
            if pipe.get(key) != token.encode():
                return False
            pipe.multi()
            pipe.delete(key)
            pipe.execute()
            return True
        except WatchError:
            return False
