"""What the laboratory's application calls."""
import dramatiq
from redis.exceptions import RedisError

from . import log, register
from .actors import transmit_result

logger = log.get("klinikum.release")


def release_result(result_id: int) -> str | None:
    status = register.queue(result_id)
    if status == "queued":
        try:
            transmit_result.send(result_id=result_id)
        except (dramatiq.errors.ConnectionError, RedisError) as error:
            # It is written down; the sweep sends it.
            log.about(job="transmit_result", key=result_id)
            logger.warning("outcome=not-queued reason=%s", type(error).__name__)
    return status
