import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Callbacks, CurrentMessage, Retries, ShutdownNotifications, TimeLimit

from zahnlabor import config, context
from zahnlabor.middleware import DeadLetters, LogContext


def build(url: str) -> dramatiq.Broker:
    middleware = [
        LogContext(),
        DeadLetters(),
        TimeLimit(time_limit=120_000),
        ShutdownNotifications(),
        Callbacks(),
        Retries(min_backoff=15_000, max_backoff=240_000),
        CurrentMessage(),
    ]
    if url.startswith("stub:"):
        return StubBroker(middleware=middleware)
    return RedisBroker(url=url, middleware=middleware)


context.configure()
broker = build(config.broker_url())
dramatiq.set_broker(broker)
