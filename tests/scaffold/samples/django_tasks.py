"""A shop that works with Django's tasks: a Django project, whatever else it keeps its data in."""

from __future__ import annotations

from textwrap import dedent

from samples.stores import STORES

NEEDS: tuple[str, ...] = ("django>=5.2", "django-tasks-db[compat]>=0.12")
DJANGO = STORES["django"]
FILES: dict[str, str] = {
    **DJANGO,
    "Procfile": "worker: python manage.py db_worker\n",
    "config/settings.py": DJANGO["config/settings.py"].replace(
        'INSTALLED_APPS = ["shop"]\n',
        'INSTALLED_APPS = ["django_tasks", "django_tasks_db", "shop"]\n',
    )
    + 'TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}\n',
    "shop/tasks.py": dedent("""\
        \"\"\"Background jobs.\"\"\"

        import logging

        from django_tasks import task

        logger = logging.getLogger(__name__)


        @task()
        def sweep() -> None:
            \"\"\"Looks for carts that nobody wants any more.\"\"\"
            logger.info("sweeping")
        """),
    "shop/bookings.py": dedent("""\
        \"\"\"The shop's books.\"\"\"

        from django.db.backends.base.base import BaseDatabaseWrapper

        from shop.models import Booking


        def book(connection: BaseDatabaseWrapper, order_id: int, email: str) -> None:
            \"\"\"Books an order, in the transaction that it is given.\"\"\"
            bookings = Booking.objects.using(connection.alias)
            bookings.create(order_id=order_id, email=email)
        """),
    "shop/models.py": DJANGO["shop/models.py"]
    + dedent("""\


        class Booking(models.Model):
            \"\"\"A line in the books.\"\"\"

            order_id = models.BigIntegerField()
            email = models.EmailField()

            class Meta:
                db_table = "bookings"
        """),
    "shop/migrations/0002_booking.py": dedent("""\
        \"\"\"The books.\"\"\"

        from django.db import migrations, models


        class Migration(migrations.Migration):
            dependencies = [
                ("shop", "0001_initial"),
            ]

            operations = [
                migrations.CreateModel(
                    name="Booking",
                    fields=[
                        (
                            "id",
                            models.BigAutoField(
                                auto_created=True,
                                primary_key=True,
                                serialize=False,
                                verbose_name="ID",
                            ),
                        ),
                        ("order_id", models.BigIntegerField()),
                        ("email", models.EmailField(max_length=254)),
                    ],
                    options={"db_table": "bookings"},
                ),
            ]
        """),
}
IN_DJANGO: dict[str, str | None] = {
    "tests/__init__.py": None,
    "tests/test_shop.py": None,
    "shop/db.py": None,
}
"""What a sample outside of Django has, and this one has not."""
