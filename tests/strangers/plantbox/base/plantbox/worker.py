"""saq plantbox.worker.settings"""

from saq import CronJob

from plantbox import logsetup
from plantbox.jobs import order_parcel
from plantbox.shipping import make_queue
from plantbox.sweeps import sweep


async def startup(ctx) -> None:
    logsetup.setup()


settings = {
    "queue": make_queue(),
    "functions": [order_parcel],
    "cron_jobs": [CronJob(sweep, cron="*/10 * * * *", timeout=120)],
    "concurrency": 10,
    "startup": startup,
    "shutdown_grace_period_s": 30,
}
