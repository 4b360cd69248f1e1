"""arq museum.worker.WorkerSettings"""
from arq import cron, func
from arq.connections import RedisSettings

from museum import joblog
from museum.jobs import DELIVERIES, refund_ticket
from museum.returns import requeue_stuck
from museum.settings import settings


async def startup(ctx):
    joblog.configure()


class WorkerSettings:
    redis_settings = RedisSettings.from_dsn(settings.redis)
    functions = [
        # arq drops what exceeds its own limit without a word, so ours has to come first.
        func(refund_ticket, name="refund_ticket", timeout=90, max_tries=DELIVERIES + 10, keep_result=0),
    ]
    cron_jobs = [cron(requeue_stuck, minute={0, 15, 30, 45}, second=0, timeout=120, keep_result=0)]
    on_startup = startup
    max_jobs = 20
