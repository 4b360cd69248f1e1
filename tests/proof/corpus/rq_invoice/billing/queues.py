"""The queue; its worker is `rq worker --with-scheduler billing`."""

import os

from redis import Redis
from rq import Queue

connection = Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
queue = Queue("billing", connection=connection)
