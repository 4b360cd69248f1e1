"""A shop that works with SAQ."""

from __future__ import annotations

from textwrap import dedent

# Without the extra for Redis, which wants an older client than the other libraries have.
NEEDS: tuple[str, ...] = ("saq>=0.26", "redis")
FILES: dict[str, str] = {
    "Procfile": "worker: saq shop.worker.settings -v\n",
    "shop/queues.py": dedent("""\
        \"\"\"The queue of the shop's jobs.\"\"\"

        import os

        from saq import Queue

        queue = Queue.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
        """),
    "shop/tasks.py": dedent("""\
        \"\"\"Background jobs.\"\"\"

        import logging

        from saq.types import Context

        logger = logging.getLogger(__name__)


        async def sweep(ctx: Context) -> None:
            \"\"\"Looks for carts that nobody wants any more.\"\"\"
            logger.info("sweeping")
        """),
    "shop/worker.py": dedent("""\
        \"\"\"The worker of the shop's jobs.\"\"\"

        from shop.queues import queue
        from shop.tasks import sweep

        settings = {
            "queue": queue,
            "functions": [sweep],
            "concurrency": 10,
        }
        """),
}
