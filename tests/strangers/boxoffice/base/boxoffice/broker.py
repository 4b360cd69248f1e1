"""The broker. Import this before anything declares an actor."""
import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Retries

from boxoffice import config, logconf, middleware

logconf.setup()


def furnish(broker: dramatiq.Broker) -> dramatiq.Broker:
    # After hooks run from the last middleware to the first: Retries, DeadLetters, JobLog.
    broker.add_middleware(middleware.JobLog(), before=Retries)
    broker.add_middleware(middleware.DeadLetters(), before=Retries)
    return broker


broker = furnish(RedisBroker(url=config.REDIS))
dramatiq.set_broker(broker)
