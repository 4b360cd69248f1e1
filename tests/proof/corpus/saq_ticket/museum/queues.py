"""The queue of the museum's jobs."""

import os

from saq import Queue

queue = Queue.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
