from arq import cron
from arq.worker import func

from . import config
from .broker import redis_settings
from .jobs import send_bill
from .logs import configure
from .sweep import sweep


async def startup(ctx: dict) -> None:
    configure()


class WorkerSettings:
    # Of a job whose result is kept the id stays taken, and the sweep could not bring it back.
    functions = [func(send_bill, name="send_bill", keep_result=0, max_tries=200, timeout=config.JOB_TIMEOUT)]
    cron_jobs = [cron(sweep, name="sweep", minute=17, timeout=120, keep_result=0)]
    on_startup = startup
    redis_settings = redis_settings()
    max_jobs = 10
