import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Retries

from . import log
from .middleware import FailedJobs
from .settings import settings

log.configure(settings.log_level)

broker = StubBroker() if settings.broker == "stub" else RedisBroker(url=settings.redis_url)
broker.add_middleware(FailedJobs(), before=Retries)
dramatiq.set_broker(broker)
