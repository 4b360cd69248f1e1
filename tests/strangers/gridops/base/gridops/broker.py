import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Retries

from . import log
from .config import config
from .middleware import DeadLetters, JobLog

log.setup()

if config.broker.url.startswith("stub:"):
    broker = StubBroker()
else:
    broker = RedisBroker(url=config.broker.url)
# what comes before Retries hears of the end of an attempt after it
broker.add_middleware(DeadLetters(), before=Retries)
broker.add_middleware(JobLog(), before=Retries)
dramatiq.set_broker(broker)
