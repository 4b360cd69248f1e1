"""arq cloudkeys.worker.WorkerSettings"""

from typing import Any

import structlog
from arq import cron, func

from cloudkeys import logs
from cloudkeys.db import make_engine, make_sessions
from cloudkeys.jobs import MAX_ATTEMPTS, provision_key
from cloudkeys.partner import PartnerClient, make_http
from cloudkeys.queueing import redis_settings
from cloudkeys.settings import get_settings
from cloudkeys.sweeps import sweep

log = structlog.get_logger(__name__)


async def startup(ctx: dict[str, Any]) -> None:
    settings = get_settings()
    logs.configure(settings.log_level)
    ctx["engine"] = make_engine()
    ctx["sessions"] = make_sessions(ctx["engine"])
    ctx["partner"] = PartnerClient(make_http(settings))
    log.info("worker ready", partner=settings.partner_url)


async def shutdown(ctx: dict[str, Any]) -> None:
    await ctx["partner"].aclose()
    await ctx["engine"].dispose()


class WorkerSettings:
    functions = [
        # Beyond max_tries arq drops a job without asking us. The job itself gives up
        # before that, and writes the dead letter.
        func(provision_key, name="provision_key", timeout=120, max_tries=MAX_ATTEMPTS + 5),
    ]
    cron_jobs = [cron(sweep, minute=set(range(0, 60, 5)))]
    on_startup = startup
    on_shutdown = shutdown
    redis_settings = redis_settings()
    keep_result = 0
    max_jobs = 20
