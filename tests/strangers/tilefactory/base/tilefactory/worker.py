"""A worker: python -m tilefactory.worker"""
from redis import Redis
from rq import Worker

from tilefactory import jobs, logs, release, settings


def main() -> None:
    logs.configure()
    connection = Redis.from_url(settings.load().redis_url)
    worker = Worker([release.QUEUE], connection=connection,
                    work_horse_killed_handler=jobs.horse_killed)
    # Without the scheduler nobody enqueues what waits for its next attempt.
    worker.work(with_scheduler=True, logging_level=settings.load().log_level)


if __name__ == "__main__":
    main()
