"""A shop that works with Huey."""

from __future__ import annotations

from textwrap import dedent

NEEDS: tuple[str, ...] = ("huey>=2.5",)
FILES: dict[str, str] = {
    "Procfile": "worker: huey_consumer shop.tasks.huey\n",
    "shop/queue.py": dedent("""\
        \"\"\"The task queue.\"\"\"

        import os

        from huey import SqliteHuey

        huey = SqliteHuey("shop", filename=os.environ.get("SHOP_QUEUE", "queue.db"))
        """),
    "shop/tasks.py": dedent("""\
        \"\"\"Background jobs.\"\"\"

        import logging

        from shop.queue import huey

        logger = logging.getLogger(__name__)


        @huey.task()
        def sweep() -> None:
            \"\"\"Looks for carts that nobody wants any more.\"\"\"
            logger.info("sweeping")
        """),
}
