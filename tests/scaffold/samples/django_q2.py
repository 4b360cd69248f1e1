"""A shop that works with Django Q2: always a Django project."""

from __future__ import annotations

from textwrap import dedent

from samples import stores

NEEDS: tuple[str, ...] = ("django>=5.2", "django-q2[croniter]>=1.8")
FILES: dict[str, str] = {
    **stores.STORES["django"],
    "Procfile": "web: gunicorn config.wsgi\nworker: python manage.py qcluster\n",
    "config/settings.py": stores.STORES["django"]["config/settings.py"].replace(
        '["shop"]', '["django_q", "shop"]'
    )
    + dedent("""\
        Q_CLUSTER = {
            "name": "shop",
            "orm": "default",
            "timeout": 60,
            "retry": 90,
            "max_attempts": 5,
        }
        """),
    "shop/bookings.py": dedent("""\
        \"\"\"The shop's books.\"\"\"

        from django.db.backends.base.base import BaseDatabaseWrapper

        INSERT = "INSERT INTO bookings (order_id, email) VALUES (%s, %s)"


        def book(connection: BaseDatabaseWrapper, order_id: int, email: str) -> None:
            \"\"\"Books an order, in the transaction that it is given.\"\"\"
            with connection.cursor() as cursor:
                cursor.execute(INSERT, [order_id, email])
        """),
    "shop/carts.py": dedent("""\
        \"\"\"Carts that somebody left.\"\"\"

        from django_q.tasks import async_task


        def leave() -> None:
            \"\"\"Somebody has left a cart.\"\"\"
            async_task("shop.tasks.sweep")
        """),
    "shop/migrations/0002_bookings.py": dedent("""\
        \"\"\"The shop's books.\"\"\"

        from django.db import migrations

        TABLE = "CREATE TABLE bookings (order_id INTEGER, email TEXT)"


        class Migration(migrations.Migration):
            dependencies = [("shop", "0001_initial")]

            operations = [migrations.RunSQL(TABLE, "DROP TABLE bookings")]
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
IN_DJANGO: dict[str, str | None] = {
    "tests/__init__.py": None,
    "tests/test_shop.py": None,
    "shop/db.py": None,
}
"""What a sample outside of Django has, and this one has not."""
