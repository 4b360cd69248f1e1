"""python -m sternwarte.worker: RQ's worker and its scheduler, with our logging."""
import logging

from rq import Worker

from . import desk


def main():
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    queue = desk.queue()
    Worker([queue], connection=queue.connection).work(with_scheduler=True)


if __name__ == "__main__":
    main()
