"""A shop that works with Celery, also within Django."""

from __future__ import annotations

from textwrap import dedent

NEEDS: tuple[str, ...] = ("celery>=5.7",)
FILES: dict[str, str] = {
    "Procfile": "worker: celery -A shop.celery worker\n",
    "shop/celery.py": dedent("""\
        \"\"\"The Celery app.\"\"\"

        from celery import Celery

        app = Celery("shop", broker="redis://localhost/0", include=["shop.tasks"])
        """),
    "shop/tasks.py": dedent("""\
        \"\"\"Background jobs.\"\"\"

        import logging

        from shop.celery import app

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
    "shop/celery.py": None,
    "Procfile": "worker: celery -A config worker\n",
    "config/__init__.py": dedent("""\
        \"\"\"The project.\"\"\"

        from config.celery import app

        __all__ = ["app"]
        """),
    "config/celery.py": dedent("""\
        \"\"\"The Celery app.\"\"\"

        import os

        from celery import Celery

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

        app = Celery("shop", broker="redis://localhost/0")
        app.config_from_object("django.conf:settings", namespace="CELERY")
        app.autodiscover_tasks()
        """),
    "shop/tasks.py": dedent("""\
        \"\"\"Background jobs.\"\"\"

        import logging

        from celery import shared_task

        logger = logging.getLogger(__name__)


        @shared_task(name="shop.tasks.sweep")
        def sweep() -> None:
            \"\"\"Looks for carts that nobody wants any more.\"\"\"
            logger.info("sweeping")
        """),
}
"""What differs in a Django project: a file's text, or None where there is none."""
