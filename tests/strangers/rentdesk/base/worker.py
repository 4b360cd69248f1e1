"""The RQ worker. The scheduler must run, or retries with an interval never come back."""
import rentdesk.boot  # noqa: F401

from rq import Worker

from rents.queues import rent_queue

if __name__ == "__main__":
    queue = rent_queue()
    Worker([queue], connection=queue.connection).work(with_scheduler=True)
