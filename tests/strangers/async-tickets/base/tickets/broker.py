import httpx
from taskiq import InMemoryBroker, SmartRetryMiddleware
from taskiq_redis import ListRedisScheduleSource, RedisStreamBroker

from . import log
from .errors import PartnerDown
from .middleware import DeadLetters
from .payments import PaymentsDown
from .settings import settings

log.configure()

TRANSIENT = (PaymentsDown, PartnerDown, httpx.TransportError, TimeoutError, ConnectionError)

in_memory = settings.broker == "memory"
schedule = None if in_memory else ListRedisScheduleSource(settings.broker)
broker = InMemoryBroker() if in_memory else RedisStreamBroker(settings.broker, idle_timeout=120_000)

# on_error runs from the last middleware to the first: the retry decides, then DeadLetters looks.
broker.add_middlewares(
    DeadLetters(),
    SmartRetryMiddleware(
        default_retry_count=5,
        default_retry_label=True,
        default_delay=2,
        use_delay_exponent=True,
        max_delay_exponent=60,
        use_jitter=True,
        schedule_source=schedule,
        types_of_exceptions=TRANSIENT,
    ),
)
