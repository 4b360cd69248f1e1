import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Retries

from .middleware import DeadLetters

url = os.environ.get("KLINIKUM_REDIS_URL", "redis://localhost:6379/0")
broker = StubBroker() if url == "stub" else RedisBroker(url=url)
broker.add_middleware(DeadLetters(), before=Retries)
dramatiq.set_broker(broker)
