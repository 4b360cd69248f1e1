"""`arq clinic.worker.WorkerSettings`"""

from typing import Any

from arq import cron, func

from clinic import jobs, log
from clinic.queue import redis_settings
from clinic.settings import get_settings
from clinic.sms import SmsGateway


async def startup(ctx: dict[str, Any]) -> None:
    log.setup()
    cfg = get_settings()
    ctx["sms"] = SmsGateway(cfg.sms_url, cfg.sms_token)


async def shutdown(ctx: dict[str, Any]) -> None:
    await ctx["sms"].aclose()


async def sweep(ctx: dict[str, Any]) -> int:
    return await jobs.requeue_stalled()


class WorkerSettings:
    functions = [
        # One delivery more than attempts: after the fifth death somebody has to write the dead letter.
        func(jobs.send_confirmation, name="send_confirmation", max_tries=get_settings().max_attempts + 1),
    ]
    cron_jobs = [cron(sweep, minute={0, 15, 30, 45}, second=0, timeout=120)]
    redis_settings = redis_settings()
    on_startup = startup
    on_shutdown = shutdown
    max_jobs = 20
    job_timeout = 60
    # A kept result would block its job id, and with it the sweep. The table has the outcome.
    keep_result = 0
