"""python -m opernhaus.worker: RQ with its scheduler, which the waits between attempts need."""
from rq import Worker

from .box_office import queue
from .log import configure


def main():
    configure()
    annulments = queue()
    Worker([annulments], connection=annulments.connection).work(with_scheduler=True)


if __name__ == "__main__":
    main()
