"""Small repositories, one a framework, and the job specs that a scaffold turns into code in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from textwrap import dedent
from typing import Any

SKILL = "job-worker-orchestration"


@dataclass(frozen=True)
class Combination:
    """What varies: the framework, the trigger, where handled keys are kept, where dead jobs go, whether it retries."""

    framework: str
    trigger: str = "event"  # event | cron | poller
    store: str = "sqlite3"  # sqlite3 | sqlalchemy | alembic | django | redis | receiver
    dead: str = "table"  # table | queue | framework | none
    retry: bool = True
    effect: str = "keyed"  # keyed | transactional | at_least_once | at_most_once
    message: str = "kwargs"  # kwargs | payload
    backoff: str = "doubling"  # doubling | tripling | fixed
    broker: bool = False  # CI and a compose file start a Redis, which tests may use

    def __str__(self) -> str:
        parts = [self.framework, self.trigger, self.store, f"dead {self.dead}"]
        parts += ["bounded" if self.retry else "no retry", self.effect, self.message, self.backoff]
        return ", ".join([*parts, *(["with a broker"] if self.broker else [])])


def files(combination: Combination) -> dict[str, str]:
    """The files of the sample repository and its spec."""
    made = {**COMMON, **FRAMEWORKS[combination.framework], **STORES[combination.store]}
    if combination.store == "django":
        made = {path: text for path, text in {**made, **IN_DJANGO[combination.framework]}.items() if text is not None}
    needed = [*NEEDS.get(combination.framework, ()), *NEEDS.get(combination.store, ())]
    made["pyproject.toml"] = _pyproject(*dict.fromkeys(needed))
    if combination.broker:
        made = {path: _over_redis(text) for path, text in {**made, **WITH_BROKER}.items()}
    return {**made, ".skillrun/jobs/send-receipt.json": json.dumps(spec(combination), indent=2) + "\n"}


def spec(combination: Combination) -> dict[str, Any]:
    """The job spec of a combination; its `proof` is left to the scaffold."""
    effect: dict[str, Any] = {"name": "email", "call": "shop.mailer:send", "guarantee": combination.effect}
    if combination.effect == "keyed":
        effect |= {"key_arg": "idempotency_key", "window": "24h"}
    elif combination.effect == "transactional":
        effect |= {"call": "shop.bookings:book", "mode": "pass_through"}
    else:
        effect["reason"] = "The provider knows no keys"
    made: dict[str, Any] = {
        "version": 1,
        "job": "send-receipt",
        "intent": {"what": "Email a receipt once the payment settles", "why_async": "SMTP is slow and may be down"},
        "trigger": {"type": combination.trigger, **TRIGGERS[combination.trigger]},
        "payload": deepcopy(PAYLOAD),
        "handler": "shop.tasks:send_receipt",
        "message": combination.message,
        "idempotency": {
            "strategy": "keyed",
            "key": ["order_id"],
            "dedupe": {
                "store": DEDUPE[combination.store],
                "window": "24h" if combination.store == "receiver" else "7d",
            },
        },
        "effects": [effect],
        "failures": {
            "transient": ["shop.mailer:Unavailable", "TimeoutError"],
            "permanent": ["shop.mailer:BadAddress"],
            "acceptable_delay": "15m",
        },
        "retry": {"max_attempts": 4, "backoff": BACKOFF[combination.backoff]}
        if combination.retry
        else {"kind": "none", "reason": "Somebody looks at each failure"},
        "dead_letter": DEAD[combination.dead],
    }
    if combination.effect == "transactional":
        made["failures"] |= {"transient": ["TimeoutError"], "permanent": ["ValueError"]}
        made["proof"] = deepcopy(BOOKED)  # which tables the adapter writes is the author's to say
    return made


PAYLOAD: dict[str, Any] = {
    "type": "object",
    "required": ["order_id", "email"],
    "additionalProperties": False,
    "properties": {"order_id": {"type": "integer", "minimum": 1}, "email": {"type": "string", "format": "email"}},
    "examples": [{"order_id": 7, "email": "a@example.com"}, {"order_id": 8, "email": "a@example.com"}],
}
BOOKED: dict[str, Any] = {
    "env": {"SHOP_DB": "{scratch}/app.db"},
    "setup": "python -m shop.bookings && python -m shop.send_receipt_store",
    "database": "{scratch}/app.db",
    "state": {
        "receipts": "select order_id from receipts order by 1",
        "bookings": "select order_id, email from bookings order by 1",
    },
    "dead_letters": "select count(*) from dead_jobs",
    "poison": [{}, {"order_id": 0.5, "email": "a@example.com"}],
}
BACKOFF: dict[str, dict[str, Any]] = {
    "doubling": {"kind": "exponential", "base": "2s", "factor": 2, "cap": "60s", "jitter": True},
    "tripling": {"kind": "exponential", "base": "1s", "factor": 3, "cap": "60s", "jitter": True},
    "fixed": {"kind": "fixed", "base": "5s"},
}
TRIGGERS = {"event": {}, "cron": {"schedule": "*/5 * * * *", "timezone": "UTC"}, "poller": {"every": "60s"}}
DEDUPE = {
    **dict.fromkeys(("sqlite3", "sqlalchemy", "alembic", "django"), "table receipts"),
    "redis": "redis receipts",
    "receiver": "receiver",
}
DEAD = {
    "table": {"kind": "table", "where": "dead_jobs"},
    "queue": {"kind": "queue", "where": "dead"},
    "framework": {"kind": "framework"},
    "none": {"kind": "none", "reason": "A receipt can be asked for again"},
}

COMMON = {
    ".gitignore": "__pycache__/\n*.db\n",
    "shop/__init__.py": "",
    "tests/__init__.py": "",
    "tests/test_shop.py": "import shop\n\n\ndef test_it_is_there():\n    assert shop\n",
}
COMMON["Makefile"] = dedent("""\
    lint:
    \truff check .
    \truff format --check .

    typecheck:
    \tmypy shop

    test:
    \tpython -m pytest -q
    """)


def _pyproject(*dependencies: str) -> str:
    return dedent(f"""\
        [project]
        name = "shop"
        version = "1"
        dependencies = [{", ".join(f'"{one}"' for one in dependencies)}]

        [project.optional-dependencies]
        dev = ["mypy", "pytest", "ruff"]

        [tool.pytest.ini_options]
        testpaths = ["tests"]
        pythonpath = ["."]

        [tool.ruff.lint]
        select = ["E4", "E7", "E9", "F", "I", "B905"]

        [tool.mypy]
        strict = true
        ignore_missing_imports = true
        disallow_subclassing_any = false
        disallow_untyped_decorators = false
        """)


def _over_redis(text: str) -> str:
    """A module or a configuration of a repository whose tests may use a Redis that the environment names."""
    swaps = (
        ('"shop", broker="redis://localhost/0"', '"shop", broker=url'),
        ("from celery import Celery\n\napp", "import os\n\nfrom celery import Celery\n\napp"),
        ("\napp = Celery(", '\nurl = os.environ.get("REDIS_URL", "redis://localhost/0")\napp = Celery('),
        ('filename=os.environ.get("SHOP_QUEUE", "queue.db")', 'url=os.environ.get("REDIS_URL", "redis://localhost/0")'),
        ("SqliteHuey", "RedisHuey"),
        ('pythonpath = ["."]\n', 'pythonpath = ["."]\nmarkers = ["integration: needs the Redis of compose.yaml"]\n'),
    )
    for old, new in swaps:
        text = text.replace(old, new)
    return text


WITH_BROKER = {
    "compose.yaml": "services:\n  redis:\n    image: redis:7-alpine\n    ports: [6379:6379]\n",
    ".github/workflows/ci.yml": dedent("""\
        on: push
        jobs:
          test:
            runs-on: ubuntu-latest
            services:
              redis:
                image: redis:7
            steps:
              - uses: actions/checkout@v4
              - run: make lint typecheck test
        """),
}
NEEDS = {
    "celery": ("celery>=5.7",),
    "rq": ("rq>=3.0", "redis"),
    "huey": ("huey>=2.5",),
    "dramatiq": ("dramatiq[redis]>=2.0",),
    "apscheduler": ("apscheduler>=3.10,<4",),
    "sqlalchemy": ("sqlalchemy>=2.0",),
    "alembic": ("sqlalchemy>=2.0", "alembic"),
    "redis": ("redis",),
    "django": ("django>=5.2",),
}
FRAMEWORKS: dict[str, dict[str, str]] = {
    "celery": {
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
    },
    "rq": {
        "Procfile": "worker: rq worker --with-scheduler shop\n",
        "shop/queues.py": dedent("""\
            \"\"\"The queue of the shop's jobs.\"\"\"

            import os

            from redis import Redis
            from rq import Queue

            connection = Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
            queue = Queue("shop", connection=connection)
            """),
        "shop/tasks.py": dedent("""\
            \"\"\"Background jobs.\"\"\"

            import logging

            from shop.queues import queue

            logger = logging.getLogger(__name__)


            def sweep() -> None:
                \"\"\"Looks for carts that nobody wants any more.\"\"\"
                logger.info("sweeping")


            def enqueue_sweep() -> None:
                \"\"\"Has the carts swept soon.\"\"\"
                queue.enqueue(sweep)
            """),
    },
    "huey": {
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
    },
    "dramatiq": {
        "Procfile": "worker: dramatiq shop.tasks\n",
        "shop/broker.py": dedent("""\
            \"\"\"The broker of the shop's jobs.\"\"\"

            import os

            import dramatiq
            from dramatiq.brokers.redis import RedisBroker

            url = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
            broker = RedisBroker(url=url)  # type: ignore[no-untyped-call]
            dramatiq.set_broker(broker)
            """),
        "shop/tasks.py": dedent("""\
            \"\"\"Background jobs.\"\"\"

            import logging

            import dramatiq

            from shop.broker import broker

            logger = logging.getLogger(__name__)


            @dramatiq.actor(broker=broker)
            def sweep() -> None:
                \"\"\"Looks for carts that nobody wants any more.\"\"\"
                logger.info("sweeping")
            """),
    },
    "plain_cron": {
        "crontab": "*/10 * * * * cd /srv/shop && python -m shop.sweep\n",
        "Procfile": "watch: python -m shop.watch\n",
        "shop/sweep.py": dedent("""\
            \"\"\"Looks for carts that nobody wants any more: cron starts it.\"\"\"

            import logging

            logger = logging.getLogger(__name__)


            def main() -> None:
                \"\"\"One tick.\"\"\"
                logger.info("sweeping")


            if __name__ == "__main__":
                main()
            """),
        "shop/watch.py": dedent("""\
            \"\"\"Looks at the shop's shelves.\"\"\"

            import time

            from shop.sweep import main

            while True:
                main()
                time.sleep(30)
            """),
    },
    "apscheduler": {
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
    },
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
    "Makefile": COMMON["Makefile"].replace("python -m pytest -q", "python manage.py test"),
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
IN_DJANGO: dict[str, dict[str, str | None]] = {
    "celery": {
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
    },
}


CLOCKED = {"plain_cron": ("poller", "cron"), "apscheduler": ("poller", "cron")}
"""Frameworks that carry no event: their handlers take a payload, and their first trigger is the usual one."""
CLOCKS = {**CLOCKED, "huey": ("cron", "poller")}


def combinations() -> Iterator[Combination]:
    """Every combination that a scaffold has to write, framework by framework."""
    for framework in FRAMEWORKS:
        base = usual(framework)
        yield from _of(base)
        for trigger in CLOCKS.get(framework, ()):
            for retry in (True, False):
                if trigger != base.trigger:
                    yield replace(base, trigger=trigger, retry=retry)


def usual(framework: str) -> Combination:
    """The plainest job of a framework."""
    if framework in CLOCKED:
        return Combination(framework, trigger=CLOCKED[framework][0], message="payload")
    return Combination(framework)


def _of(base: Combination) -> Iterator[Combination]:
    """The factors that matter to each other are crossed; the others vary one at a time."""
    for store in (name for name in STORES if name != "django" or base.framework in IN_DJANGO):
        for retry in (True, False):
            yield replace(base, store=store, retry=retry)
    for effect in ("transactional", "at_least_once", "at_most_once"):
        yield replace(base, effect=effect, retry=effect != "at_most_once")
    if base.message != "payload":
        yield replace(base, message="payload")
    yield replace(base, backoff="tripling")
    yield replace(base, backoff="fixed")
    yield replace(base, dead="none")
    if base.framework in ("rq", "dramatiq"):
        yield replace(base, dead="framework")
    if base.framework == "celery":
        yield replace(base, dead="queue")
        yield replace(base, store="django", broker=True)
    if base.framework not in CLOCKED:
        yield replace(base, broker=True)
        yield replace(base, broker=True, store="receiver", message="payload")
    if base.framework in ("celery", "rq"):
        yield replace(base, trigger="cron")
        yield replace(base, trigger="poller", message="payload")


DEAD_LETTERS = {"celery": ("queue",), "rq": ("framework",), "dramatiq": ("framework",)}
"""What a framework has besides a table and none."""


def every() -> Iterator[Combination]:
    """The whole product of framework, trigger, store, dead letter and retry, without what a scaffold refuses."""
    for framework in FRAMEWORKS:
        base = usual(framework)
        own = {"celery": ("cron", "poller"), "rq": ("cron", "poller")}.get(framework, CLOCKS.get(framework, ()))
        for trigger in dict.fromkeys((base.trigger, *own)):
            for store in (name for name in STORES if name != "django" or framework in IN_DJANGO):
                for dead in ("table", "none", *DEAD_LETTERS.get(framework, ())):
                    for retry in (True, False):
                        if dead != "none" or store != "redis":  # a lease that is held may use up the attempts
                            yield replace(base, trigger=trigger, store=store, dead=dead, retry=retry)
