"""What the readers' desk calls."""
import structlog
from redis.exceptions import RedisError

from . import ledger
from .queue import publish

log = structlog.get_logger()


async def request_renewal(subscription_id: int) -> int | None:
    renewal_id = await ledger.open_renewal(subscription_id)
    if renewal_id is not None:
        try:
            await publish([renewal_id])
        except (RedisError, OSError, TimeoutError) as exc:
            # The row is there; the sweep publishes it within five minutes.
            log.warning("renewal.unpublished", renewal_id=renewal_id, error=type(exc).__name__)
    return renewal_id
