"""The house's middleware."""
import logging

from django.db import close_old_connections
from dramatiq import Middleware

log = logging.getLogger("versand.house")


class DatabaseConnections(Middleware):
    def before_process_message(self, broker, message):
        close_old_connections()

    def after_process_message(self, broker, message, *, result=None, exception=None):
        close_old_connections()


class DeadLetters(Middleware):
    """Buries what Retries has given up: retries used up, or an error of `throws=`."""

    AGAIN_IN = 60_000
    TIMES = 60

    def after_process_message(self, broker, message, *, result=None, exception=None):
        if exception is None or not message.failed:
            return
        from versand.burial import bury

        try:
            bury(message.actor_name, message.kwargs, type(exception).__name__, message.message_id)
        except Exception as exc:
            # The database is away. Let the message come again; whatever it then
            # does, it ends here or well.
            times = message.options.get("burials", 0) + 1
            log.error("job=%s actor=%s outcome=burial-failed error=%s time=%d",
                      message.message_id, message.actor_name, type(exc).__name__, times)
            if times <= self.TIMES:
                broker.enqueue(message.copy(options={"burials": times}), delay=self.AGAIN_IN)
