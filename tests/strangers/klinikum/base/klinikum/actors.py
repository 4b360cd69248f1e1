"""dramatiq klinikum.actors --queues lab"""
import dramatiq

from . import broker, gateway, log, register
from .failures import PERMANENT, Exhausted, UnknownTransmission
from .messages import result_of, segments_of

logger = log.get("klinikum.jobs")

MAX_ATTEMPTS = 5


@dramatiq.actor(
    broker=broker.broker,
    queue_name="lab",
    max_retries=MAX_ATTEMPTS - 1,
    min_backoff=30_000,
    max_backoff=600_000,
    throws=PERMANENT,
    time_limit=90_000,
)
def transmit_result(*args, **message):
    work = register.begin(result_of(args, message))
    if work is None:
        raise UnknownTransmission("no such transmission")
    log.about(attempt=work.starts)
    if work.status != "queued":
        logger.info("outcome=already-%s", work.status)
        return
    if work.starts > MAX_ATTEMPTS:
        raise Exhausted(f"{MAX_ATTEMPTS} attempts")
    logger.info("outcome=started control_id=%s", work.control_id)
    try:
        register.clear_for_sending(work)
        number = gateway.transmit(work.practice, segments_of(work), message_control_id=work.control_id)
    except register.ConsentWithdrawn:
        event = register.withheld(work)
    except gateway.ConsentRevoked:
        event = register.withheld(work, delivered_before=False)
    else:
        event = "sent" if register.sent(work, number) else None
    logger.info("outcome=%s", event or "settled-elsewhere")
