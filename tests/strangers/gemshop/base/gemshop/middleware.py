import structlog
from dramatiq.middleware import Middleware
from pydantic import ValidationError

from . import ledger
from .messages import ChargeOrder

log = structlog.get_logger("gemshop.jobs")


def order_of(message) -> str | None:
    """The order a message is about; None for one that nobody can read."""
    try:
        return ChargeOrder(**message.kwargs).order_id if not message.args else None
    except (ValidationError, TypeError):
        return None


class FailedJobs(Middleware):
    """Logs how each message ended, and keeps those that ended badly.

    Has to come before Retries in the broker's list: what runs after a message
    runs from the end of the list, and Retries decides whether it has failed.
    """

    def before_process_message(self, broker, message):
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(
            message_id=message.message_id, order_id=order_of(message)
        )

    def after_process_message(self, broker, message, *, result=None, exception=None):
        if exception is None:
            return
        reason = f"{type(exception).__name__}: {exception}"
        if not message.failed:
            log.warning("charge.retry", attempt=message.options.get("retries"), reason=reason)
            return
        recorded = ledger.give_up(
            message.message_id, message.actor_name,
            {"args": list(message.args), "kwargs": dict(message.kwargs)},
            order_of(message), exception,
        )
        if recorded:
            log.error("charge.given_up", message=message.asdict()["kwargs"], reason=reason)
        else:
            log.warning("charge.settled_elsewhere", reason=reason)
