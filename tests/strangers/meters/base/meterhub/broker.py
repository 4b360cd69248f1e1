import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import CurrentMessage

from meterhub import settings


def connect():
    where = settings.broker()
    broker = StubBroker() if where == "stub" else RedisBroker(url=where)
    broker.add_middleware(CurrentMessage())
    dramatiq.set_broker(broker)
    return broker
