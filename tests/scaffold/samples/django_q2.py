"""A shop that works with Django Q2: always a Django project."""

from __future__ import annotations

from textwrap import dedent

from samples import stores

NEEDS: tuple[str, ...] = ("django>=5.2", "django-q2[croniter]>=1.8")
FILES: dict[str, str | None] = {
    **stores.STORES["django"],
    "tests/__init__.py": None,
    "tests/test_shop.py": None,
    "Procfile": "web: gunicorn config.wsgi\nworker: python manage.py qcluster\n",
    "config/settings.py": stores.STORES["django"]["config/settings.py"].replace('["shop"]', '["django_q", "shop"]')
    + dedent("""\
        Q_CLUSTER = {
            "name": "shop",
            "orm": "default",
            "timeout": 60,
            "retry": 90,
            "max_attempts": 5,
        }
        """),
    "shop/carts.py": dedent("""\
        \"\"\"Carts that somebody left.\"\"\"

        from django_q.tasks import async_task


        def leave() -> None:
            \"\"\"Somebody has left a cart.\"\"\"
            async_task("shop.tasks.sweep")
        """),
    "shop/tasks.py": dedent("""\
        \"\"\"Background jobs.\"\"\"

        import logging

        logger = logging.getLogger(__name__)


        def sweep() -> None:
            \"\"\"Looks for carts that nobody wants any more.\"\"\"
            logger.info("sweeping")
        """),
}
STORES: dict[str, dict[str, str]] = {
    "django": {},
    "receiver": {},
    "redis": {"shop/cache.py": stores.STORES["redis"]["shop/cache.py"]},
}
