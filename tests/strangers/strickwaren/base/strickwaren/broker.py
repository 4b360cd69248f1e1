import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import AgeLimit, Callbacks, Pipelines, Retries, ShutdownNotifications, TimeLimit

from strickwaren import logs
from strickwaren.middleware import Graveyard, JobContext
from strickwaren.settings import get_settings

logs.configure()


def build(url: str) -> dramatiq.Broker:
    # After a message the list is run through backwards: Retries decides, Graveyard acts on it.
    chain = [JobContext(), Graveyard(), AgeLimit(), TimeLimit(), ShutdownNotifications(), Callbacks(), Pipelines(), Retries()]
    if url.startswith("stub:"):
        return StubBroker(middleware=chain)
    return RedisBroker(url=url, middleware=chain)


broker = build(get_settings().broker_url)
dramatiq.set_broker(broker)
