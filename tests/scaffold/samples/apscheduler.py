"""A shop whose jobs are started by APScheduler, in one process."""

from __future__ import annotations

from textwrap import dedent

NEEDS: tuple[str, ...] = ("apscheduler>=3.10,<4",)
FILES: dict[str, str] = {
    "Procfile": "clock: python -m shop\n",
    "shop/__main__.py": dedent("""\
        \"\"\"Starts the scheduler, with every job.\"\"\"

        import shop.tasks  # noqa: F401
        from shop.clock import scheduler

        scheduler.start()
        """),
    "shop/clock.py": dedent("""\
        \"\"\"The scheduler.\"\"\"

        from apscheduler.schedulers.blocking import BlockingScheduler

        scheduler = BlockingScheduler(timezone="UTC")
        """),
    "shop/tasks.py": dedent("""\
        \"\"\"Background jobs.\"\"\"

        import logging

        from shop.clock import scheduler

        logger = logging.getLogger(__name__)


        @scheduler.scheduled_job("interval", minutes=10, id="sweep")
        def sweep() -> None:
            \"\"\"Looks for carts that nobody wants any more.\"\"\"
            logger.info("sweeping")
        """),
}
