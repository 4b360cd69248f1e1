"""python -m parceldesk.worker: works off the queue 'labels' (supervisor starts it)."""

from rq import Worker

from . import logs
from .jobs import horse_killed
from .queueing import label_queue


def main():
    logs.setup()
    queue = label_queue()
    worker = Worker([queue], connection=queue.connection, work_horse_killed_handler=horse_killed)
    worker.work(with_scheduler=True)


if __name__ == "__main__":
    main()
