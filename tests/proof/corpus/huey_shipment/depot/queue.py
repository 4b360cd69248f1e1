"""The task queue."""

import os

from huey import SqliteHuey

huey = SqliteHuey("depot", filename=os.environ.get("DEPOT_QUEUE", "queue.db"))
