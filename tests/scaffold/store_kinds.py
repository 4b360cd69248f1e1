"""The repositories that the stores are tried in: one for each kind of store and each way to open
it.
"""

from __future__ import annotations

import atexit
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
import redis
import store_cases

from skillrun.proof.services.find import find_redis_server
from skillrun.proof.services.redis import RedisServer

MAPPED = {
    "shop/__init__.py": "",
    "shop/tasks.py": "",
    "shop/models.py": (
        """
        import os

        from sqlalchemy import create_engine
        from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, sessionmaker

        engine = create_engine(os.environ["SHOP_DB"], connect_args={"timeout": 20})
        Session = sessionmaker(engine)


        class Base(DeclarativeBase):
            pass


        class Wallet(Base):
            __tablename__ = "wallets"
            id: Mapped[int] = mapped_column(primary_key=True)
        """
    ),
}
CLASSIC = {
    "shop/__init__.py": "",
    "shop/tasks.py": "",
    "shop/db.py": (
        """
        import os
        from contextlib import contextmanager

        from sqlalchemy import create_engine
        from sqlalchemy.orm import declarative_base, scoped_session, sessionmaker

        engine = create_engine(os.getenv("SHOP_DB", "sqlite:///shop.db"), connect_args={"timeout": 20})
        factory = scoped_session(sessionmaker(engine))
        Base = declarative_base()


        @contextmanager
        def session_scope():
            session = factory()
            try:
                yield session
                session.commit()
            except BaseException:
                session.rollback()
                raise
            finally:
                factory.remove()
        """
    ),
    "shop/models.py": (
        """
        from sqlalchemy import Column, Integer

        from shop.db import Base


        class Wallet(Base):
            __tablename__ = "wallets"
            id = Column(Integer, primary_key=True)
        """
    ),
}
SQLMODEL = {
    "shop/__init__.py": "",
    "shop/tasks.py": "",
    "shop/models.py": (
        """
        import os

        from sqlmodel import Field, SQLModel, create_engine

        engine = create_engine(os.environ["SHOP_DB"], connect_args={"timeout": 20})


        class WalletBase(SQLModel):
            owner: str = ""


        class Wallet(WalletBase, table=True):
            id: int | None = Field(default=None, primary_key=True)
        """
    ),
}
ENGINE_ONLY = {
    "shop/__init__.py": "",
    "shop/tasks.py": "",
    "shop/db.py": (
        """
        import os

        import sqlalchemy as sa

        engine = sa.create_engine(os.environ["SHOP_DB"], connect_args={"timeout": 20})
        """
    ),
}
# The factory imports what uses the job, and nothing has opened an app context.
FLASK_FACTORY = {
    "shop/__init__.py": "",
    "shop/tasks.py": "",
    "shop/models.py": (
        """
        from flask_sqlalchemy import SQLAlchemy

        db = SQLAlchemy()


        class Wallet(db.Model):
            __tablename__ = "wallets"
            id = db.Column(db.Integer, primary_key=True)
        """
    ),
    "shop/app.py": (
        """
        import os

        from flask import Flask

        from shop import send_receipt_store
        from shop.models import db


        def create_app(settings=None):
            made = Flask(__name__)
            made.config["SQLALCHEMY_DATABASE_URI"] = os.environ["SHOP_DB"]
            made.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"connect_args": {"timeout": 20}}
            db.init_app(made)
            return made
        """
    ),
}
# The module of the app is run as it is; Flask-APScheduler is not there.
FLASK_OBJECT = {
    **FLASK_FACTORY,
    "shop/app.py": (
        FLASK_FACTORY["shop/app.py"].replace("def create_app", "def make")
        + "\n\n        app = make()\n"
    ),
}
WALLETS = "from shop.models import Wallet\n"
SPEND = "first.add(Wallet(id=1)); first.flush()"


@dataclass(frozen=True)
class Kind:
    """`setup` makes the tables; `begin` stands before code that uses the store; `spend` writes in
    its transaction.
    """

    name: str
    files: Mapping[str, str]
    setup: str = ""
    begin: str = ""
    spend: str = ""
    variable: str = "SHOP_DB"
    url: str = "sqlite:///{root}/app.sqlite"
    checked: bool = True  # mypy knows the library
    prepared: Callable[[Path], None] | None = None
    store: str = "table receipts"
    manners: tuple[str, ...] = ("remote", "transactional", "claims")
    counted: str = ""  # code that prints the number of dead letters
    leased: bool = False  # while a delivery is at work, others are told to come again
    retry: Mapping[str, Any] | None = None

    def spec(
        self, manner: str, key: tuple[str, ...] = ("order_id",), dead: str | None = "dead_jobs"
    ) -> dict[str, Any]:
        """The job's spec for this kind of store."""
        made = store_cases.spec(manner, key, dead if self.counted else None)
        made["idempotency"]["dedupe"]["store"] = self.store
        made["retry"] = dict(self.retry) if self.retry else made["retry"]
        return made

    def wait(self, manner: str) -> None:
        """Until what a dead delivery holds is free again: a lease that is an hour older."""
        if not self.leased or manner != "remote":
            return
        client = redis.Redis.from_url(redis_server().url)
        (key,) = client.keys()
        # 300 s is less than half of what the retries wait.
        assert 100_000 < client.pttl(key) <= 300_000
        client.pexpire(key, 1)

    def overlaps(self, second: subprocess.Popen[str]) -> None:
        """A second delivery of a remote job comes while the first is at work: it is let in."""
        assert second.stdout is not None and second.stderr is not None
        if self.leased:
            assert "send_receipt_store.Busy" in second.communicate(timeout=20)[1]
        else:
            assert second.stdout.readline() == "first\n"

    def env(self, root: Path) -> dict[str, str]:
        """What points the repository at a database of its own."""
        server = redis_server().url if "{redis}" in self.url else ""
        return {self.variable: self.url.format(root=root, redis=server)}

    def prepare(self, root: Path) -> None:
        """Makes the tables."""
        if self.prepared is not None:
            self.prepared(root)
        if self.setup:
            store_cases.python(root, self.setup, **self.env(root))

    def run(self, root: Path, code: str, *args: str, check: bool = True) -> str:
        """What a process prints that uses the store."""
        return store_cases.python(
            root, self.begin + code, *args, check=check, **self.env(root)
        ).stdout.strip()

    def start(self, root: Path, code: str) -> subprocess.Popen[str]:
        """A process that uses the store beside others."""
        env = store_cases.environment(root, **self.env(root))
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [sys.executable, "-c", self.begin + code], cwd=root, env=env, text=True, **pipes
        )


REDIS = {
    "shop/__init__.py": "",
    "shop/tasks.py": "",
    "shop/cache.py": (
        """
        import os

        from redis import Redis

        client = Redis.from_url(os.environ["SHOP_REDIS"])
        """
    ),
}
NO_CLIENT = {"shop/__init__.py": "", "shop/tasks.py": ""}


@cache
def redis_server() -> RedisServer:
    """One server for this test process; ended with it."""
    if find_redis_server() is None:
        pytest.skip("no redis-server here")
    folder = Path(mkdtemp(prefix="sk-", dir="/tmp"))
    server = RedisServer(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.stop)
    return server


def emptied(root: Path) -> None:
    """Nothing of another test is left in Redis."""
    redis.Redis.from_url(redis_server().url).flushall()


COUNT = """
import os, sqlite3
connection = sqlite3.connect(os.environ["SHOP_DB"].removeprefix("sqlite:///"))
print(connection.execute("select count(*) from dead_jobs").fetchone()[0])
"""
DJANGO = {
    "manage.py": (
        """
        import os
        import sys

        from django.core.management import execute_from_command_line

        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        execute_from_command_line(sys.argv)
        """
    ),
    "config/__init__.py": "",
    "config/settings.py": (
        """
        import os

        SECRET_KEY = "for-this-test-alone"
        INSTALLED_APPS = ["shop"]
        DATABASES = {
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": os.environ.get("SHOP_DB", "db.sqlite3"),
                "OPTIONS": {"timeout": 20},
            }
        }
        USE_TZ = True
        DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
        """
    ),
    "shop/__init__.py": "",
    "shop/tasks.py": "",
    "shop/models.py": (
        """
        from django.db import models


        class Wallet(models.Model):
            pass
        """
    ),
    "shop/migrations/__init__.py": "",
    "shop/migrations/0001_initial.py": (
        """
        from django.db import migrations, models


        class Migration(migrations.Migration):
            initial = True

            dependencies = []

            operations = [
                migrations.CreateModel(
                    name="Wallet",
                    fields=[("id", models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ))],
                ),
            ]
        """
    ),
}
# No DEFAULT_AUTO_FIELD, no models and no migrations yet, an app with a label of its own.
BARE_DJANGO = {
    "manage.py": DJANGO["manage.py"],
    "config/__init__.py": "",
    "config/settings.py": (
        DJANGO["config/settings.py"]
        .replace('"shop"', '"shop.apps.ShopConfig"')
        .replace('DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"', "")
    ),
    "shop/__init__.py": "",
    "shop/tasks.py": "",
    "shop/apps.py": (
        """
        from django.apps import AppConfig


        class ShopConfig(AppConfig):
            name = "shop"
            label = "corner_shop"
        """
    ),
}
SET_UP = (
    "import os, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'; django.setup()\n"
)


def migrate(root: Path) -> None:
    """The migrations run, and the models say no more than they do."""
    env = store_cases.environment(root, SHOP_DB=str(root / "app.sqlite"))
    for command in ("migrate", "check", "makemigrations --check --dry-run"):
        words = [sys.executable, "manage.py", *command.split(), "-v", "1"]
        done = subprocess.run(words, cwd=root, env=env, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


CREATE = "import shop.models; from {where} import Base, engine; Base.metadata.create_all(engine)"
FLASK_TABLES = "from shop import app, models; app.{}.app_context().push(); models.db.create_all()"
ON_REDIS: dict[str, Any] = {
    "variable": "SHOP_REDIS",
    "url": "{redis}",
    "store": "redis receipts:*",
    "prepared": emptied,
    "manners": ("remote", "claims"),
}
KINDS = {
    kind.name: kind
    for kind in (
        Kind("mapped", MAPPED, CREATE.format(where="shop.models"), WALLETS, SPEND, counted=COUNT),
        Kind(
            "flask",
            FLASK_FACTORY,
            FLASK_TABLES.format("create_app()"),
            WALLETS,
            SPEND,
            counted=COUNT,
            checked=False,
        ),
        Kind(
            "flask_object",
            FLASK_OBJECT,
            FLASK_TABLES.format("app"),
            WALLETS,
            SPEND,
            counted=COUNT,
            checked=False,
        ),
        Kind(
            "classic",
            CLASSIC,
            CREATE.format(where="shop.db"),
            WALLETS,
            SPEND,
            counted=COUNT,
            checked=False,
        ),
        Kind(
            "sqlmodel",
            SQLMODEL,
            "from shop.models import SQLModel, engine; SQLModel.metadata.create_all(engine)",
            WALLETS,
            SPEND,
            counted=COUNT,
        ),
        Kind(
            "engine",
            ENGINE_ONLY,
            "import runpy; runpy.run_module('shop.send_receipt_store', run_name='__main__')",
            counted=COUNT,
        ),
        Kind(
            "django",
            DJANGO,
            "",
            SET_UP + WALLETS,
            "Wallet(id=1).save(force_insert=True)",
            url="{root}/app.sqlite",
            counted=COUNT,
            checked=False,
            prepared=migrate,
        ),
        Kind(
            "bare_django",
            BARE_DJANGO,
            "",
            SET_UP,
            url="{root}/app.sqlite",
            counted=COUNT,
            checked=False,
            prepared=migrate,
        ),
        Kind("redis", REDIS, leased=True, **ON_REDIS),
        Kind("redis_once", REDIS, retry={"kind": "none", "reason": "a test"}, **ON_REDIS),
        Kind("redis_alone", NO_CLIENT, leased=True, **{**ON_REDIS, "variable": "REDIS_URL"}),
    )
}
