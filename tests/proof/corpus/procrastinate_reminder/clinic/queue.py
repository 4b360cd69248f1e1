"""The queue: `procrastinate --app=clinic.queue.app worker`."""

import os

from procrastinate import App, PsycopgConnector

app = App(
    connector=PsycopgConnector(conninfo=os.environ.get("QUEUE_URL", "")),
    import_paths=["clinic.tasks", "clinic.stalled"],
)
