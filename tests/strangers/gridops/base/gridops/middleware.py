import json
import time

from dramatiq import Middleware
from loguru import logger
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from .tables import dead_letters, engine


def about(message):
    return logger.bind(
        job=message.actor_name.replace("_", "-"),
        message_id=message.message_id,
        attempt=message.options.get("attempt", 1),
        message=message.kwargs,
    )


class JobLog(Middleware):
    """One line for the start of each attempt and one for its end. Belongs before Retries, so that
    after an attempt it is known already whether there will be another."""

    def before_process_message(self, broker, message):
        message.options["attempt"] = message.options.get("retries", 0) + 1  # Retries counts before we hear of it
        about(message).info("{} started", message.actor_name)

    def after_process_message(self, broker, message, *, result=None, exception=None):
        log = about(message).bind(reason=repr(exception))
        if exception is None:
            about(message).info("{} succeeded", message.actor_name)
        elif message.failed:
            log.opt(exception=exception).error("{} given up: {!r}", message.actor_name, exception)
        else:
            log.warning("{} failed, will be retried: {!r}", message.actor_name, exception)


class DeadLetters(Middleware):
    """Records what Retries has given up. An actor's option close_failed is a function that ends
    the piece of work in the same transaction; it says False if another delivery has ended it."""

    @property
    def actor_options(self):
        return {"close_failed"}

    def after_process_message(self, broker, message, *, result=None, exception=None):
        if exception is None or not message.failed:
            return
        close = broker.get_actor(message.actor_name).options.get("close_failed")
        letter = {
            "message_id": message.message_id,
            "actor": message.actor_name,
            "message": json.dumps([message.args, message.kwargs], default=str),
            "error": repr(exception),
            "failed_at": time.time(),
        }
        try:
            with engine.begin() as con:
                if close is not None and not close(con, message.kwargs):
                    about(message).info("another delivery has ended it")
                    return
                con.execute(insert(dead_letters).values(letter))
        except IntegrityError:
            about(message).info("recorded before")
