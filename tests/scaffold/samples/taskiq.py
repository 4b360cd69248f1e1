"""A shop that works with taskiq."""

from __future__ import annotations

from textwrap import dedent

NEEDS: tuple[str, ...] = ("taskiq>=0.12.6", "taskiq-redis")
FILES: dict[str, str] = {
    "Procfile": "worker: taskiq worker shop.broker:broker shop.tasks\n",
    "shop/broker.py": dedent("""\
        \"\"\"The broker of the shop's jobs.\"\"\"

        import os

        from taskiq_redis import RedisStreamBroker

        REDIS_URL = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
        broker = RedisStreamBroker(REDIS_URL)
        """),
    "shop/tasks.py": dedent("""\
        \"\"\"Background jobs.\"\"\"

        import logging

        from shop.broker import broker

        logger = logging.getLogger(__name__)


        @broker.task
        async def sweep() -> None:
            \"\"\"Looks for carts that nobody wants any more.\"\"\"
            logger.info("sweeping")
        """),
}
