"""A shop that works with RQ."""

from __future__ import annotations

from textwrap import dedent

NEEDS: tuple[str, ...] = ("rq>=3.0", "redis")
FILES: dict[str, str] = {
    "Procfile": "worker: rq worker --with-scheduler shop\n",
    "shop/queues.py": dedent("""\
        \"\"\"The queue of the shop's jobs.\"\"\"

        import os

        from redis import Redis
        from rq import Queue

        connection = Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
        queue = Queue("shop", connection=connection)
        """),
    "shop/tasks.py": dedent("""\
        \"\"\"Background jobs.\"\"\"

        import logging

        from shop.queues import queue

        logger = logging.getLogger(__name__)


        def sweep() -> None:
            \"\"\"Looks for carts that nobody wants any more.\"\"\"
            logger.info("sweeping")


        def enqueue_sweep() -> None:
            \"\"\"Has the carts swept soon.\"\"\"
            queue.enqueue(sweep)
        """),
}
