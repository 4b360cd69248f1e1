"""saq sensorhub.worker.settings"""

import logging
from typing import Any

from saq import CronJob

from sensorhub import joblog
from sensorhub.config import Config
from sensorhub.pager import PagerClient
from sensorhub.push import push_alarm
from sensorhub.queueing import make_queue
from sensorhub.resend import resend_stuck


async def startup(ctx: dict[str, Any]) -> None:
    config = Config.from_env()
    joblog.setup(config.log_level)
    ctx["db"] = config.db
    ctx["pager"] = PagerClient(config.pager_url, config.pager_key)
    logging.getLogger(__name__).info("worker is up, paging through %s", config.pager_url)


async def shutdown(ctx: dict[str, Any]) -> None:
    await ctx["pager"].close()


settings = {
    "queue": make_queue(),
    "functions": [push_alarm],
    "cron_jobs": [CronJob(resend_stuck, cron="*/10 * * * *", timeout=60)],
    "concurrency": 8,
    "startup": startup,
    "shutdown": shutdown,
}
