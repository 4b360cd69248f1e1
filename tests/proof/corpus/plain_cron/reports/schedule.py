"""Starts the scheduler: `python -m reports.schedule`, one process."""

from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.cron import CronTrigger

from reports.nightly import ZONE, nightly


def main() -> None:
    scheduler = BlockingScheduler(timezone=ZONE)
    scheduler.add_job(nightly, CronTrigger(hour=2, minute=30, timezone=ZONE), misfire_grace_time=3600, coalesce=True)
    scheduler.start()


if __name__ == "__main__":
    main()
