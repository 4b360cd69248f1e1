from dramatiq.middleware import Middleware

from . import log, register
from .failures import NOT_OURS, reason_of
from .messages import key_of

logger = log.get("klinikum.jobs")


class DeadLetters(Middleware):
    """Records what has failed for good.

    Stands before Retries in the broker's list. After a message the list is run from its end,
    so that Retries has decided by then.
    """

    def before_process_message(self, broker, message):
        log.context.set({})
        log.about(job=message.actor_name, id=message.message_id, key=key_of(message.args, message.kwargs),
                  attempt=message.options.get("retries", 0) + 1)

    def after_process_message(self, broker, message, *, result=None, exception=None):
        if exception is None:
            return
        if not message.failed:
            logger.warning("outcome=retry reason=%s", reason_of(exception))
            return
        key = key_of(message.args, message.kwargs)
        if isinstance(exception, NOT_OURS) or not key.isdigit():
            register.lay_aside(key, message.message_id, reason_of(exception))
        elif not register.bury(int(key), message.message_id, reason_of(exception)):
            logger.info("outcome=settled-elsewhere reason=%s", reason_of(exception))
            return
        logger.error("outcome=dead reason=%s", reason_of(exception))
