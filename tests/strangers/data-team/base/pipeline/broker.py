import json

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Retries
from loguru import logger

from . import config, db


class DeadBatches(dramatiq.Middleware):
    """Keeps what Retries has given up. Stands before Retries, and so hears of the outcome after it."""

    def after_process_message(self, broker, message, *, result=None, exception=None):
        if exception is None or not message.failed:
            return
        batch_id = message.kwargs.get("batch_id")
        with db.writing() as conn:
            conn.execute(
                "insert into dead_batches (message_id, batch_id, message, error) values (?, ?, ?, ?) on conflict do nothing",
                [message.message_id, str(batch_id), json.dumps(message.kwargs, default=str), repr(exception)],
            )
        logger.error("batch {} is dead: {!r} (message {})", batch_id, exception, message.message_id)


def make():
    broker = StubBroker() if config.BROKER.startswith("stub") else RedisBroker(url=config.BROKER)
    broker.add_middleware(DeadBatches(), before=Retries)
    return broker
