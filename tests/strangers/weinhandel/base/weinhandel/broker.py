"""The one broker. Whatever declares actors imports this module first."""
import dramatiq
from django.conf import settings
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import CurrentMessage, Retries

from versand.house import DatabaseConnections, DeadLetters


def build():
    broker = StubBroker() if settings.BROKER == "stub" else RedisBroker(url=settings.REDIS_URL)
    broker.add_middleware(CurrentMessage())
    # after_* hooks run from the last to the first: Retries decides, then we bury,
    # and only then are the connections looked after.
    broker.add_middleware(DeadLetters(), before=Retries)
    broker.add_middleware(DatabaseConnections(), before=DeadLetters)
    return broker


broker = build()
dramatiq.set_broker(broker)
