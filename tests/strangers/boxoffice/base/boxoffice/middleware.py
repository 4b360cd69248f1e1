"""Our own middleware. It runs after Dramatiq's Retries, and so knows what became of a failure."""
import logging

from dramatiq.middleware import Middleware

log = logging.getLogger("boxoffice.jobs")


def fields(message, **more) -> dict:
    return {"job": message.actor_name, "message_id": message.message_id,
            "order_id": message.kwargs.get("order_id"),
            "attempt": message.options.get("retries", 0) + 1, **more}


def failed(message, exception: BaseException) -> dict:
    # Retries has counted this attempt already.
    return fields(message, attempt=message.options.get("retries", 1), reason=reason(exception))


def reason(exception: BaseException) -> str:
    return f"{type(exception).__name__}: {exception}"


class JobLog(Middleware):
    def before_process_message(self, broker, message):
        log.info("job started", extra=fields(message))

    def after_process_message(self, broker, message, *, result=None, exception=None):
        if exception is None:
            log.info("job done", extra=fields(message))
        elif message.failed:
            log.error("job given up", extra=failed(message, exception))
        else:
            log.warning("job failed, it will be retried", extra=failed(message, exception))


class DeadLetters(Middleware):
    """Calls the function in the actor's option dead_letter for each message that is given up."""

    @property
    def actor_options(self):
        return {"dead_letter"}

    def after_process_message(self, broker, message, *, result=None, exception=None):
        if exception is None or not message.failed:
            return
        actor = broker.actors.get(message.actor_name)
        bury = actor and actor.options.get("dead_letter")
        if bury:
            bury(message.message_id, message.kwargs, reason(exception))
