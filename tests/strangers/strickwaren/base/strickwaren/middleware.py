"""What happens around an actor. Both classes have to stand before Retries in the broker's list."""
import structlog
from dramatiq.middleware import Middleware
from sqlalchemy.exc import SQLAlchemyError
from structlog.contextvars import bind_contextvars, clear_contextvars

log = structlog.get_logger("strickwaren.jobs")


class JobContext(Middleware):
    """Each line that is logged during a job says which job it is; and how it went is logged, too."""

    def before_process_message(self, broker, message):
        clear_contextvars()
        bind_contextvars(
            job=message.actor_name, job_id=message.message_id, attempt=message.options.get("retries", 0) + 1
        )

    def after_process_message(self, broker, message, *, result=None, exception=None):
        if exception is not None and not message.failed:
            log.warning("job will be retried", outcome="retry", reason=reason(exception))
        clear_contextvars()

    def after_skip_message(self, broker, message):
        clear_contextvars()


class Graveyard(Middleware):
    """Calls an actor's option `bury` with each message that has failed for good."""

    actor_options = {"bury"}

    def after_process_message(self, broker, message, *, result=None, exception=None):
        if exception is None or not message.failed:
            return
        bury = broker.get_actor(message.actor_name).options.get("bury")
        if bury is None:
            return
        if isinstance(exception, SQLAlchemyError):
            # What came of the job could not be read or written, so it has not failed yet.
            log.error("database away", outcome="left to the sweep", reason=reason(exception))
            return
        for tries_left in (2, 1, 0):
            try:
                bury(message, reason(exception))
                return
            except SQLAlchemyError as trouble:
                if not tries_left:
                    log.error("job could not be buried", outcome="left to the sweep", reason=type(trouble).__name__)


def reason(exception) -> str:
    # The text of a database error has the statement's parameters in it.
    if isinstance(exception, SQLAlchemyError):
        return type(exception).__name__
    return f"{type(exception).__name__}: {exception}"
