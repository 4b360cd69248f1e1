"""The worker: `saq museum.worker.settings -v`."""

from museum.queues import queue
from museum.tasks import send_ticket

settings = {
    "queue": queue,
    "functions": [send_ticket],
    "concurrency": 10,
}
