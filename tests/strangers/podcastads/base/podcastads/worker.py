"""python -m podcastads.worker [sweeper]"""
import logging
import sys
import time

from rq import Worker

from podcastads import desk, jobs, queues

logger = logging.getLogger("podcastads.sweeper")


def horse_killed(job, pid, status, usage):
    # RQ retries the job by itself; its callback is for us to call
    jobs.failed(job, None, ChildProcessError, ChildProcessError(f"work horse killed, status {status}"), None)


def main():
    queue = queues.queue()
    worker = Worker([queue], connection=queue.connection, work_horse_killed_handler=horse_killed)
    worker.work(with_scheduler=True)


def sweeper():
    while True:
        try:
            desk.sweep()
        except Exception:
            logger.exception("sweep failed, next one in ten minutes")
        time.sleep(600)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    sweeper() if sys.argv[1:] == ["sweeper"] else main()
