from apscheduler.schedulers.blocking import BlockingScheduler

from . import desk, outbox


def main():
    scheduler = BlockingScheduler(timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1})
    scheduler.add_job(outbox.flush, "interval", seconds=30)
    scheduler.add_job(desk.requeue_stalled, "interval", minutes=10)
    scheduler.start()


if __name__ == "__main__":
    main()
