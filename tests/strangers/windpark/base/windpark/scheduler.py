"""python -m windpark.scheduler: polls until it is stopped. Two may run side by side."""
from datetime import datetime, timezone

from apscheduler.schedulers.blocking import BlockingScheduler

from windpark import config, jsonlog
from windpark.dispatch import send_setpoints


def build() -> BlockingScheduler:
    scheduler = BlockingScheduler(timezone=timezone.utc)
    scheduler.add_job(
        send_setpoints,
        trigger="interval",
        seconds=config.load().poll_seconds,
        id="send-setpoints",
        max_instances=1,
        coalesce=True,
        misfire_grace_time=None,
        next_run_time=datetime.now(timezone.utc),
    )
    return scheduler


if __name__ == "__main__":
    jsonlog.configure()
    try:
        build().start()
    except (KeyboardInterrupt, SystemExit):
        pass
