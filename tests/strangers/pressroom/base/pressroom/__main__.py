import logging
from datetime import datetime, timezone

from apscheduler.schedulers.blocking import BlockingScheduler

from pressroom.poller import publish_due
from pressroom.settings import settings


def main() -> None:
    logging.basicConfig(
        level=settings().log_level,
        format="%(asctime)s %(levelname)-7s %(name)s %(message)s",
    )
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    scheduler = BlockingScheduler(timezone=timezone.utc)
    scheduler.add_job(
        publish_due,
        "interval",
        seconds=settings().poll_seconds,
        id="publish-due",
        next_run_time=datetime.now(timezone.utc),
        max_instances=1,
        coalesce=True,
        misfire_grace_time=None,
    )
    try:
        scheduler.start()
    except (KeyboardInterrupt, SystemExit):
        logging.getLogger(__name__).info("stopped")


if __name__ == "__main__":
    main()
