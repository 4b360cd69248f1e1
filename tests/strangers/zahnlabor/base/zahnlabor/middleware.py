import hashlib
import json
import logging

from dramatiq import Middleware

from zahnlabor import context, orders

logger = logging.getLogger("zahnlabor.messages")


class LogContext(Middleware):
    def before_process_message(self, broker, message):
        context.job_id.set(message.message_id)
        context.attempt.set(message.options.get("retries", 0) + 1)

    def after_process_message(self, broker, message, *, result=None, exception=None):
        context.job_id.set("-")
        context.attempt.set(0)

    after_skip_message = after_process_message


class DeadLetters(Middleware):
    """Stands before Retries in the list, so that it hears of a message after Retries has decided."""

    def after_process_message(self, broker, message, *, result=None, exception=None):
        if exception is None:
            return
        key, order_id = self.name(message)
        about = f"{message.actor_name} key={key}"
        reason = f"{type(exception).__name__}: {exception}"
        if not message.failed:
            logger.warning("%s outcome=retry reason=%s", about, type(exception).__name__)
            return
        content = {"args": list(message.args), "kwargs": message.kwargs}
        fresh = orders.bury(key, message.actor_name, content, message.message_id, reason, order_id)
        logger.error("%s outcome=%s reason=%s", about, "dead" if fresh else "over", type(exception).__name__)

    @staticmethod
    def name(message) -> tuple[str, int | None]:
        order_id = message.kwargs.get("order_id")
        if not message.args and set(message.kwargs) == {"order_id"} and type(order_id) is int and 0 < order_id < 2**31:
            return orders.key_of(order_id), order_id
        text = json.dumps([message.args, message.kwargs], sort_keys=True, default=str)
        return f"bad-{hashlib.sha256(text.encode()).hexdigest()[:20]}", None
