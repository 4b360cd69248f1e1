"""Where a shop keeps its data, and the commands of its Makefile."""

from __future__ import annotations

from textwrap import dedent

MAKEFILE = dedent("""\
    lint:
    \truff check .
    \truff format --check .

    typecheck:
    \tmypy shop

    test:
    \tpython -m pytest -q
    """)
NEEDS: dict[str, tuple[str, ...]] = {
    "sqlalchemy": ("sqlalchemy>=2.0",),
    "alembic": ("sqlalchemy>=2.0", "alembic"),
    "asyncio": ("sqlalchemy>=2.0", "aiosqlite"),
    "redis": ("redis",),
    "django": ("django>=5.2",),
}
STORES: dict[str, dict[str, str]] = {
    "sqlite3": {
        "shop/bookings.py": dedent("""\
            \"\"\"The shop's books.\"\"\"

            import sqlite3

            from shop import db


            def create_tables() -> None:
                with db.transaction() as connection:
                    connection.execute(
                        "CREATE TABLE IF NOT EXISTS bookings (order_id INTEGER, email TEXT)"
                    )


            def book(connection: sqlite3.Connection, order_id: int, email: str) -> None:
                \"\"\"Books an order, in the transaction that it is given.\"\"\"
                connection.execute("INSERT INTO bookings VALUES (?, ?)", (order_id, email))


            if __name__ == "__main__":
                create_tables()
            """),
        "shop/db.py": dedent("""\
            \"\"\"The shop's SQLite database.\"\"\"

            import os
            import sqlite3
            from collections.abc import Iterator
            from contextlib import contextmanager


            @contextmanager
            def transaction() -> Iterator[sqlite3.Connection]:
                \"\"\"One transaction: committed at the end of the block, rolled back on an exception.\"\"\"
                connection = sqlite3.connect(os.environ.get("SHOP_DB", "shop.db"), timeout=30)
                try:
                    with connection:
                        yield connection
                finally:
                    connection.close()
            """),
    },
}
STORES["receiver"] = STORES["sqlite3"]  # for the dead letters
STORES["redis"] = {
    **STORES["sqlite3"],
    "shop/cache.py": dedent("""\
        \"\"\"The shop's Redis.\"\"\"

        import os

        from redis import Redis

        client = Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
        """),
}
STORES["sqlalchemy"] = {
    "shop/db.py": dedent("""\
        \"\"\"The shop's database.\"\"\"

        import os

        from sqlalchemy import create_engine
        from sqlalchemy.orm import sessionmaker

        engine = create_engine(os.environ.get("DATABASE_URL", "sqlite:///shop.db"))
        SessionLocal = sessionmaker(engine)
        """),
    "shop/models.py": dedent("""\
        \"\"\"The shop's tables.\"\"\"

        from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


        class Base(DeclarativeBase):
            \"\"\"All tables.\"\"\"


        class Order(Base):
            \"\"\"What somebody bought.\"\"\"

            __tablename__ = "orders"

            id: Mapped[int] = mapped_column(primary_key=True)
            email: Mapped[str]
        """),
}
STORES["asyncio"] = {
    **STORES["sqlalchemy"],
    "shop/db.py": dedent("""\
        \"\"\"The shop's database.\"\"\"

        import os

        from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

        URL = os.environ.get("DATABASE_URL", "sqlite+aiosqlite:///shop.db")
        engine = create_async_engine(URL, connect_args={"timeout": 30})
        SessionLocal = async_sessionmaker(engine)
        """),
    "shop/schema.py": dedent("""\
        \"\"\"Creates the shop's tables.\"\"\"

        import asyncio

        from shop.db import engine
        from shop.models import Base


        async def create() -> None:
            async with engine.begin() as connection:
                await connection.run_sync(Base.metadata.create_all)


        if __name__ == "__main__":
            asyncio.run(create())
        """),
    "shop/bookings.py": dedent("""\
        \"\"\"The shop's books.\"\"\"

        from sqlalchemy.ext.asyncio import AsyncSession

        from shop.models import Booking


        async def book(session: AsyncSession, order_id: int, email: str) -> None:
            \"\"\"Books an order, in the transaction that it is given.\"\"\"
            session.add(Booking(order_id=order_id, email=email))
            await session.flush()
        """),
}
STORES["asyncio"]["shop/models.py"] += dedent("""\


    class Booking(Base):
        \"\"\"A line in the books.\"\"\"

        __tablename__ = "bookings"

        id: Mapped[int] = mapped_column(primary_key=True)
        order_id: Mapped[int]
        email: Mapped[str]
    """)
STORES["alembic"] = {
    **STORES["sqlalchemy"],
    "alembic.ini": "[alembic]\nscript_location = %(here)s/migrations\nprepend_sys_path = .\n",
    "migrations/env.py": dedent("""\
        \"\"\"Runs the revisions on the shop's database.\"\"\"

        from alembic import context

        from shop.db import engine
        from shop.models import Base

        with engine.connect() as connection:
            context.configure(connection=connection, target_metadata=Base.metadata)
            with context.begin_transaction():
                context.run_migrations()
        """),
    "migrations/script.py.mako": "",
    "migrations/versions/3f2a9c01d7e4_add_orders.py": dedent("""\
        \"\"\"add orders\"\"\"

        import sqlalchemy as sa
        from alembic import op

        revision = "3f2a9c01d7e4"
        down_revision = None
        branch_labels = None
        depends_on = None


        def upgrade() -> None:
            op.create_table(
                "orders",
                sa.Column("id", sa.Integer(), primary_key=True),
                sa.Column("email", sa.String(), nullable=False),
            )


        def downgrade() -> None:
            op.drop_table("orders")
        """),
}
STORES["django"] = {
    "Makefile": MAKEFILE.replace("python -m pytest -q", "python manage.py test"),
    "manage.py": dedent("""\
        \"\"\"Django's command line.\"\"\"

        import os
        import sys

        from django.core.management import execute_from_command_line

        if __name__ == "__main__":
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
            execute_from_command_line(sys.argv)
        """),
    "config/__init__.py": "",
    "config/settings.py": dedent("""\
        \"\"\"The shop's settings.\"\"\"

        import os

        SECRET_KEY = os.environ.get("SECRET_KEY", "for development alone")
        INSTALLED_APPS = ["shop"]
        DATABASES = {
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": os.environ.get("SHOP_DB", "shop.db"),
            }
        }
        USE_TZ = True
        DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
        """),
    "shop/models.py": dedent("""\
        \"\"\"The shop's tables.\"\"\"

        from django.db import models


        class Order(models.Model):
            \"\"\"What somebody bought.\"\"\"

            email = models.EmailField()
        """),
    "shop/migrations/__init__.py": "",
    "shop/migrations/0001_initial.py": dedent("""\
        \"\"\"The first tables.\"\"\"

        from django.db import migrations, models


        class Migration(migrations.Migration):
            initial = True

            dependencies: list[tuple[str, str]] = []

            operations = [
                migrations.CreateModel(
                    name="Order",
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
                        ("email", models.EmailField(max_length=254)),
                    ],
                ),
            ]
        """),
    "shop/tests/__init__.py": "",
    "shop/tests/test_models.py": dedent("""\
        from django.test import TestCase

        from shop.models import Order


        class OrderTest(TestCase):
            def test_an_order_is_kept(self) -> None:
                Order.objects.create(email="a@example.com")
                self.assertEqual(Order.objects.count(), 1)
        """),
}
