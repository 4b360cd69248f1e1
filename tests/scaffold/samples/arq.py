"""A shop that works with arq."""

from __future__ import annotations

from textwrap import dedent

NEEDS: tuple[str, ...] = ("arq>=0.26",)
FILES: dict[str, str] = {
    "Procfile": "worker: arq shop.worker.WorkerSettings\n",
    "shop/queues.py": dedent("""\
        \"\"\"Where the queue of the shop's jobs is.\"\"\"

        import os

        from arq.connections import RedisSettings

        REDIS = RedisSettings.from_dsn(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
        """),
    "shop/tasks.py": dedent("""\
        \"\"\"Background jobs.\"\"\"

        import logging
        from typing import Any

        logger = logging.getLogger(__name__)


        async def sweep(ctx: dict[str, Any]) -> None:
            \"\"\"Looks for carts that nobody wants any more.\"\"\"
            logger.info("sweeping")
        """),
    "shop/worker.py": dedent("""\
        \"\"\"The worker of the shop's jobs.\"\"\"

        from shop.queues import REDIS
        from shop.tasks import sweep


        class WorkerSettings:
            functions = [sweep]
            redis_settings = REDIS
        """),
}
