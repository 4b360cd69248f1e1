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
IN_DJANGO: dict[str, str | None] = {
    "tests/__init__.py": None,
    "tests/test_shop.py": None,
    "shop/queue.py": None,
    "Procfile": "worker: python manage.py procrastinate worker\n",
    "config/settings.py": dedent("""\
        \"\"\"The shop's settings.\"\"\"

        import os

        SECRET_KEY = os.environ.get("SECRET_KEY", "for development alone")
        INSTALLED_APPS = ["procrastinate.contrib.django", "shop"]
        DATABASES = {
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "HOST": os.environ.get("DB_HOST", "localhost"),
                "PORT": os.environ.get("DB_PORT", "5432"),
                "NAME": os.environ.get("DB_NAME", "shop"),
                "USER": os.environ.get("DB_USER", "shop"),
            }
        }
        USE_TZ = True
        DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
        """),
    "shop/tasks.py": FILES["shop/tasks.py"].replace("shop.queue", "procrastinate.contrib.django"),
}
"""What differs in a Django project: a file's text, or None where there is none. Its database is PostgreSQL."""
AWAITED: dict[str, str] = {
    "shop/tasks.py": FILES["shop/tasks.py"].replace("def sweep", "async def sweep"),
}
"""What differs where the tasks are coroutine functions, as with SQLAlchemy over asyncio."""
