import json
import logging

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Middleware, Retries

from backoffice.config import Settings
from backoffice.domain.model import DeadLetter
from backoffice.service.unit_of_work import UnitOfWork

log = logging.getLogger(__name__)


class DeadLetters(Middleware):
    """Keeps every message that Dramatiq gives up on, before it is taken from the queue."""

    def after_process_message(self, broker, message, *, result=None, exception=None):
        if not message.failed:
            return
        payload = json.dumps(list(message.args) or message.kwargs)
        uow = UnitOfWork()
        with uow:
            if uow.dead_letters.get(message.message_id) is None:
                uow.dead_letters.add(DeadLetter(message.message_id, message.actor_name, payload, repr(exception)))
                uow.commit()
        log.error(
            "message is dead",
            extra={"message_id": message.message_id, "payload": payload, "error": repr(exception)},
        )


def make_broker() -> dramatiq.Broker:
    url = Settings.from_env().broker_url
    broker = StubBroker() if url.startswith("stub:") else RedisBroker(url=url)
    # after-hooks run last to first: Retries must have decided before DeadLetters looks
    broker.add_middleware(DeadLetters(), before=Retries)
    dramatiq.set_broker(broker)
    return broker
