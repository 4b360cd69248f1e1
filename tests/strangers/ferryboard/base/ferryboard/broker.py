import dramatiq
from django.conf import settings
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Retries

from ferryboard.middleware import DatabaseConnections, JobRecord

broker = RedisBroker(url=settings.REDIS_URL) if settings.REDIS_URL else StubBroker()
broker.add_middleware(DatabaseConnections())
# after_* hooks run from the last to the first: what stands before Retries hears
# of a message once Retries has decided whether it is to be tried again.
broker.add_middleware(JobRecord(), before=Retries)
dramatiq.set_broker(broker)
