from taskiq import InMemoryBroker, TaskiqScheduler
from taskiq.schedule_sources import LabelScheduleSource
from taskiq_redis import ListRedisScheduleSource, RedisStreamBroker

from . import config, logs
from .retry import Retries

logs.configure()

if config.BROKER == "memory":
    broker, retries_at = InMemoryBroker(), None
else:
    broker = RedisStreamBroker(
        config.BROKER,
        queue_name="vetclinic",
        consumer_group_name="vetclinic",
        consumer_id="0",  # also what was published before the first worker came
        idle_timeout=config.REDELIVER_MS,
        unacknowledged_lock_timeout=30,
        xread_count=1,
    )
    retries_at = ListRedisScheduleSource(config.BROKER, prefix="vetclinic-retries")

broker.add_middlewares(Retries(retries_at))
scheduler = TaskiqScheduler(broker, [LabelScheduleSource(broker), *([retries_at] if retries_at else [])])
