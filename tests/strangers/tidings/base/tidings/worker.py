"""arq tidings.worker.WorkerSettings"""

from typing import Any

from arq import cron, func

from . import logs
from .editions import publish_pending
from .letters import MAX_TRIES, deliver_letter
from .mailhouse import MailHouse
from .settings import settings


async def startup(ctx: dict[str, Any]) -> None:
    logs.configure()
    ctx["mail"] = MailHouse(settings())


async def shutdown(ctx: dict[str, Any]) -> None:
    await ctx["mail"].close()


async def sweep(ctx: dict[str, Any]) -> int:
    return await publish_pending()


class WorkerSettings:
    # arq drops a job beyond max_tries without a word, so its limit lies above ours: the job gives up itself
    functions = [func(deliver_letter, max_tries=MAX_TRIES + 3, timeout=120, keep_result=0)]
    cron_jobs = [cron(sweep, second=0)]
    on_startup = startup
    on_shutdown = shutdown
    redis_settings = settings().redis
    max_jobs = 20
