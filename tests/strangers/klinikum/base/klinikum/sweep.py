"""python -m klinikum.sweep, hourly: transmissions whose message was lost."""
import logging
from datetime import timedelta

from . import log, register
from .actors import MAX_ATTEMPTS, transmit_result
from .tables import utcnow

logger = log.get("klinikum.sweep")

# The longest wait between two attempts is ten minutes; a dead worker's message is back after one.
STALE = timedelta(minutes=40)


def sweep() -> None:
    for result_id, starts in register.standing_still(utcnow() - STALE):
        log.context.set({})
        log.about(job="transmit_result", key=result_id, attempt=starts)
        try:
            _bring_back(result_id, starts)
        except Exception as error:
            # In an hour again; the others must not suffer from it.
            logger.error("outcome=not-swept reason=%s", type(error).__name__)


def _bring_back(result_id: int, starts: int) -> None:
    if starts >= MAX_ATTEMPTS:
        if register.bury(result_id, None, "Exhausted(swept)"):
            logger.error("outcome=dead reason=Exhausted(swept)")
        return
    message = transmit_result.send(result_id=result_id)
    register.touch(result_id)
    log.about(id=message.message_id)
    logger.warning("outcome=swept")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    sweep()
