"""The clinic's Redis, and the queue in it; its worker is `rq worker --with-scheduler texts`."""

import os

from redis import Redis
from rq import Queue

redis = Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
texts = Queue("texts", connection=redis)
