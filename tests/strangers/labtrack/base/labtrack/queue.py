"""How everything but the worker gets at the queue: synchronous, and by the names of the tasks."""
from procrastinate import App, SyncPsycopgConnector

from labtrack.config import settings


def publisher():
    return App(connector=SyncPsycopgConnector(conninfo=settings.queue_dsn, min_size=1, max_size=2))
