from redis import Redis
from rq import Queue, Retry

from . import config

JOB = "transmit-declaration"


def declarations():
    return Queue(config.QUEUE, connection=Redis.from_url(config.REDIS_URL), default_timeout=120)


def put(declaration_id):
    declarations().enqueue(
        "lohnbuero.jobs.transmit_declaration",
        kwargs={"declaration_id": declaration_id},
        retry=Retry(max=len(config.WAITS), interval=config.WAITS),
        result_ttl=0,
    )
