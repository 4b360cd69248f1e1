"""python -m stadtbib.worker"""
from rq import Worker

from . import lending, tasks


def main():
    queue = lending.queue()
    Worker([queue], connection=queue.connection, work_horse_killed_handler=tasks.horse_killed).work(
        with_scheduler=True
    )


if __name__ == "__main__":
    main()
