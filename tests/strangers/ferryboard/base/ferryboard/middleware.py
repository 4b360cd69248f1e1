"""What every job of the house gets: fresh connections, log lines, a dead letter."""

from django.db import close_old_connections
from dramatiq import Middleware
from loguru import logger


class DatabaseConnections(Middleware):
    """Worker threads have no requests that would tidy up after them."""

    def before_process_message(self, broker, message):
        close_old_connections()

    def after_process_message(self, broker, message, *, result=None, exception=None):
        close_old_connections()


class JobRecord(Middleware):
    """Says how each job went, and buries the ones that will not be tried again."""

    @property
    def actor_options(self):
        return {"bury"}

    def before_process_message(self, broker, message):
        self._log(message).info("job started, try {}", message.options.get("retries", 0) + 1)

    def after_process_message(self, broker, message, *, result=None, exception=None):
        log = self._log(message)
        if exception is None:
            log.info("job succeeded")
        elif not message.failed:
            log.warning("job failed and will be tried again: {!r}", exception)
        else:
            log.error("job failed for good: {!r}", exception)
            bury = broker.get_actor(message.actor_name).options.get("bury")
            if bury is not None:
                bury(message, exception)

    @staticmethod
    def _log(message):
        return logger.bind(job=message.actor_name, message_id=message.message_id, args=message.args)
