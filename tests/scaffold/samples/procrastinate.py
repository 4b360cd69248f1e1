"""A shop that works with Procrastinate."""

from __future__ import annotations

from textwrap import dedent

NEEDS: tuple[str, ...] = ("procrastinate>=3.2",)
FILES: dict[str, str] = {
    "Procfile": "worker: procrastinate --app=shop.queue.app worker\n",
    "shop/queue.py": dedent("""\
        \"\"\"The queue of the shop's jobs.\"\"\"

        import os

        from procrastinate import App, PsycopgConnector

        app = App(
            connector=PsycopgConnector(conninfo=os.environ.get("QUEUE_URL", "")),
            import_paths=["shop.tasks"],
        )
        """),
    "shop/tasks.py": dedent("""\
        \"\"\"Background jobs.\"\"\"

        import logging

        from shop.queue import app

        logger = logging.getLogger(__name__)


        @app.task(name="shop.tasks.sweep")
        def sweep() -> None:
            \"\"\"Looks for carts that nobody wants any more.\"\"\"
            logger.info("sweeping")
        """),
}
