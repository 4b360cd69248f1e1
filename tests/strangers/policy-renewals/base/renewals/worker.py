"""The worker: `python -m renewals.worker`. Two of them may overlap, as they do during a deployment."""

import logging

from apscheduler.schedulers.blocking import BlockingScheduler

from renewals import config
from renewals.job import poll_due_policies


def scheduler() -> BlockingScheduler:
    scheduler = BlockingScheduler(timezone="UTC")
    scheduler.add_job(
        poll_due_policies,
        "interval",
        seconds=config.POLL_SECONDS,
        id="poll-due-policies",
        max_instances=1,
        coalesce=True,
        misfire_grace_time=None,  # late is better than never: the next poll takes all that is due
    )
    return scheduler


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    scheduler().start()
