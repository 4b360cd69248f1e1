"""Which store a repository gets, and what a proof is told of it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import store_cases
from finding_stores import PSYCOPG, PSYCOPG_URL, TABLES, proved
from store_kinds import (
    BARE_DJANGO,
    CLASSIC,
    DJANGO,
    ENGINE_ONLY,
    KINDS,
    MAPPED,
    NO_CLIENT,
    REDIS,
    SQLMODEL,
)

from skillrun.skills.job_worker.scaffold.stores.variables import read_variable

URL_FROM_SETTINGS = {
    **ENGINE_ONLY,
    "shop/settings.py": (
        """
        from pydantic_settings import BaseSettings, SettingsConfigDict


        class Settings(BaseSettings):
            model_config = SettingsConfigDict(env_prefix="shop_")
            database_url: str = "postgresql://localhost/shop"


        settings = Settings()
        """
    ),
    "shop/db.py": (
        """
        from sqlalchemy import create_engine

        from shop.settings import settings

        engine = create_engine(str(settings.database_url))
        """
    ),
}
FLASK = {
    "shop/__init__.py": "",
    "shop/tasks.py": "",
    "shop/db.py": "from flask_sqlalchemy import SQLAlchemy\n\ndb = SQLAlchemy()\n",
    "shop/app.py": (
        """
        import os

        from flask import Flask

        app = Flask(__name__)
        app.config["SQLALCHEMY_DATABASE_URI"] = os.environ.get("SHOP_URI", "sqlite:///shop.db")
        """
    ),
    "migrations/env.py": "from alembic import context\nfrom flask import current_app\n",
}
NAMED_DATABASE = """
    import os

    SECRET_KEY = "for-this-test-alone"
    INSTALLED_APPS = ["shop"]
    DB_OPTIONS = {"timeout": int(os.getenv("SHOP_TIMEOUT", "20"))}
    if os.getenv("SHOP_ENGINE") == "postgres":
        default = {"ENGINE": "django.db.backends.postgresql", "NAME": "shop", "OPTIONS": DB_OPTIONS}
    else:
        default = {
            "OPTIONS": DB_OPTIONS,
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ.get("SHOP_DB", "db.sqlite3"),
        }
    DATABASES = {"default": default}
    """
SQLITE, DJANGO_ENV = (
    "sqlite:///{scratch}/app.db",
    {"SHOP_DB": "{scratch}/app.db", "DJANGO_SETTINGS_MODULE": "config.settings"},
)
FILE = {"database": "{scratch}/app.db", **TABLES}
SERVER = {"services": ["postgresql"], "database": "{postgresql}", **TABLES}
CREATE = 'python -c "from shop.models import Base, Session; {}"'
FOUND: dict[str, tuple[Mapping[str, str], str, dict[str, Any]]] = {
    "mapped": (
        MAPPED,
        "sqlalchemy",
        {
            "env": {"SHOP_DB": SQLITE},
            **FILE,
            "setup": CREATE.format("Base.metadata.create_all(Session().get_bind())"),
        },
    ),
    "postgresql": (
        {**MAPPED, **PSYCOPG},
        "sqlalchemy",
        {
            "env": {"SHOP_DB": PSYCOPG_URL},
            **SERVER,
            "setup": CREATE.format("Base.metadata.create_all(Session().get_bind())"),
        },
    ),
    "sqlmodel": (
        SQLMODEL,
        "sqlalchemy",
        {
            "env": {"SHOP_DB": SQLITE},
            **FILE,
            "setup": (
                'python -c "from sqlmodel import SQLModel; from shop.models import engine; import'
                ' shop.models; SQLModel.metadata.create_all(engine)"'
            ),
        },
    ),
    "path": (
        {
            **MAPPED,
            "shop/models.py": (
                MAPPED["shop/models.py"].replace(
                    'os.environ["SHOP_DB"]', "f\"sqlite:///{os.environ.get('SHOP_FILE')}\""
                )
            ),
        },
        "sqlalchemy",
        {
            "env": {"SHOP_FILE": "{scratch}/app.db"},
            **FILE,
            "setup": CREATE.format("Base.metadata.create_all(Session().get_bind())"),
        },
    ),
    "classic": (CLASSIC, "sqlalchemy", {"env": {"SHOP_DB": SQLITE}, **FILE}),
    "settings": (
        URL_FROM_SETTINGS,
        "sqlalchemy",
        {
            "env": {"SHOP_DATABASE_URL": "{postgresql}"},
            **SERVER,
            "setup": "python -m shop.send_receipt_store",
        },
    ),
    "flask": (
        FLASK,
        "sqlalchemy",
        {"env": {"SHOP_URI": SQLITE}, **FILE, "setup": "flask db upgrade"},
    ),
    "flask without Flask-Migrate": (
        {
            **FLASK,
            "alembic.ini": "[alembic]\nscript_location = migrations\n",
            "migrations/env.py": "from alembic import context\n\n# There is no current_app here.\n",
        },
        "sqlalchemy",
        {"env": {"SHOP_URI": SQLITE}, **FILE, "setup": "python -m alembic upgrade head"},
    ),
    "django": (DJANGO, "django", {"env": DJANGO_ENV, **FILE, "setup": "python manage.py migrate"}),
    "django's database under a name": (
        {**DJANGO, "config/settings.py": NAMED_DATABASE},
        "django",
        {"env": DJANGO_ENV, **FILE, "setup": "python manage.py migrate"},
    ),
    "bare_django": (
        BARE_DJANGO,
        "django",
        {"env": DJANGO_ENV, **FILE, "setup": "python manage.py migrate"},
    ),
    "nothing": (
        NO_CLIENT,
        "sqlite3",
        {
            "env": {"DATABASE_PATH": "{scratch}/app.db"},
            **FILE,
            "setup": "python -m shop.send_receipt_store",
        },
    ),
}


@pytest.mark.parametrize(("files", "kind", "part"), FOUND.values(), ids=FOUND)
def test_the_repository_decides(
    make_repo: Callable[..., Path], files: Mapping[str, str], kind: str, part: dict[str, Any]
) -> None:
    seen = proved(make_repo(files), store_cases.spec())
    assert seen[:2] == (kind, part)


FIXED = {
    "one text": '"sqlite:///shop.db"',
    "a driver": '"sqlite+pysqlite:///data/shop.db?timeout=5"',
    "a sum": '"sqlite:///" + os.path.join(HERE, "data", "shop.db")',
    "an f-string": 'f"sqlite:///{HERE}/shop.db"',
    "a name": "URL",
}


@pytest.mark.parametrize("written", FIXED.values(), ids=FIXED)
def test_a_file_that_no_variable_reaches_has_a_stand_in(
    make_repo: Callable[..., Path], written: str
) -> None:
    """A proof opens a file in the scratch folder in its place."""
    above = 'import os\n\nHERE = os.path.dirname(__file__)\nURL = f"sqlite:///{HERE}/shop.db"\n'
    fixed = above + dedent(MAPPED["shop/models.py"]).replace('os.environ["SHOP_DB"]', written)
    kind, part, notes = proved(make_repo({**MAPPED, "shop/models.py": fixed}), store_cases.spec())
    assert (kind, part.get("env"), part["database"], part["state"]) == (
        "sqlalchemy",
        None,
        "shop.db",
        TABLES["state"],
    )
    assert notes == ()


@pytest.mark.parametrize(
    "written", ['BASE_DIR / "db.sqlite3"', 'os.path.join(BASE_DIR, "data", "db.sqlite3")']
)
def test_a_file_in_the_settings_has_a_stand_in(
    make_repo: Callable[..., Path], written: str
) -> None:
    above = "import os\nfrom pathlib import Path\n\nBASE_DIR = Path(__file__).parent.parent\n"
    settings = (
        above + 'INSTALLED_APPS = ["shop"]\nDATABASES = {"default": {"ENGINE":'
        ' "django.db.backends.sqlite3", "NAME": X}}\n'
    )
    files = {**DJANGO, "config/settings.py": settings.replace("X}", f"{written}}}")}
    _, part, notes = proved(make_repo(files), store_cases.spec())
    assert (part["env"], part["database"], notes) == (
        {"DJANGO_SETTINGS_MODULE": "config.settings"},
        "db.sqlite3",
        (),
    )


@pytest.mark.parametrize(
    ("more", "kind"), [("", "engine"), ("\nSession.configure(bind=engine)\n", "Session")]
)
def test_a_factory_without_an_engine_opens_nothing(
    make_repo: Callable[..., Path], more: str, kind: str
) -> None:
    """As in Pyramid: each request binds its own session."""
    unbound = (
        dedent(MAPPED["shop/models.py"]).replace("sessionmaker(engine)", "sessionmaker()") + more
    )
    root = make_repo({**MAPPED, "shop/models.py": unbound})
    connect = store_cases.find(store_cases.case_of(root, store_cases.spec())).connect
    assert connect is not None and connect.name == kind


@pytest.mark.parametrize("change", ["rebound by a function", "another job's store"])
def test_a_name_that_others_cannot_use_opens_nothing(
    make_repo: Callable[..., Path], change: str
) -> None:
    files = dict(MAPPED)
    if change == "rebound by a function":
        text = dedent(MAPPED["shop/models.py"])
        files["shop/models.py"] = (
            f"{text}\n\ndef configure():\n    global Session\n    Session = sessionmaker()\n"
        )
        name = "engine"
    else:
        files["shop/archive_store.py"] = (
            "from contextlib import contextmanager\n\nfrom shop.models import"
            " Session\n\n\n@contextmanager\ndef _writing():\n    with Session() as session,"
            " session.begin():\n        yield session\n"
        )
        name = "Session"
    connect = store_cases.find(store_cases.case_of(make_repo(files), store_cases.spec())).connect
    assert connect is not None and connect.name == name


@pytest.mark.parametrize(
    ("read", "variable"),
    [
        ("config.get('storage', 'database')", None),  # configparser's: a section and an option
        ("config.get('STORAGE', 'x.db')", "STORAGE"),
        ("config('storage')", "storage"),
    ],
)
def test_an_option_of_a_section_is_no_variable(
    make_repo: Callable[..., Path], read: str, variable: str | None
) -> None:
    root = make_repo({"shop/db.py": f"from shop.settings import config\n\npath = {read}\n"})
    project = store_cases.case_of(root, store_cases.spec()).project
    module = project.module("shop/db.py")
    assert module is not None
    node = module.tree.body[-1]
    assert isinstance(node, ast.Assign)
    found = read_variable(project, module, node.value)
    assert (found.name if found else None) == variable


def test_models_of_postgresql_get_no_engine_of_sqlite(make_repo: Callable[..., Path]) -> None:
    unbound = dedent(MAPPED["shop/models.py"]).replace("sessionmaker(engine)", "sessionmaker()")
    made = "\n".join(line for line in unbound.splitlines() if "create_engine" not in line)
    _, part, notes = proved(
        make_repo({**MAPPED, **PSYCOPG, "shop/models.py": made}), store_cases.spec()
    )
    url = "postgresql+psycopg://{postgresql.user}@/{postgresql.name}?host={postgresql.host}"
    assert (part["env"], part["services"]) == ({"DATABASE_URL": url}, ["postgresql"])
    assert notes[0].startswith("no session factory or engine was found")


def test_a_server_that_no_variable_reaches_is_said(make_repo: Callable[..., Path]) -> None:
    fixed = MAPPED["shop/models.py"].replace(
        'os.environ["SHOP_DB"]', '"postgresql://localhost/shop"'
    )
    kind, part, notes = proved(make_repo({**MAPPED, "shop/models.py": fixed}), store_cases.spec())
    assert (kind, part.get("env"), part.get("database")) == ("sqlalchemy", None, None)
    assert notes == (
        (
            "shop/models.py:6: create_engine is 'postgresql://localhost/shop', whatever the"
            " environment says: a proof needs it read from a variable"
        ),
    )


def test_a_url_in_parts_is_said(make_repo: Callable[..., Path]) -> None:
    parts = MAPPED["shop/models.py"].replace(
        'os.environ["SHOP_DB"]', "f\"postgresql://{os.environ['WHO']}@db/shop\""
    )
    _, part, notes = proved(make_repo({**MAPPED, "shop/models.py": parts}), store_cases.spec())
    assert "env" not in part
    assert notes == (
        (
            "shop/models.py:6: create_engine is put together of several variables, and a proof"
            " gives one URL"
        ),
    )


@pytest.mark.real
def test_redis_remembers_and_the_database_buries(make_repo: Callable[..., Path]) -> None:
    spec = store_cases.spec()
    spec["idempotency"]["dedupe"]["store"] = "redis receipts:{order_id}"
    root = make_repo({**MAPPED, **REDIS})
    kind, part, notes = proved(root, spec)
    assert (kind, part["env"], part["services"], notes) == (
        "redis",
        {"SHOP_REDIS": "{redis}", "SHOP_DB": SQLITE},
        ["redis"],
        (),
    )
    assert part["dead_letters"] == "select count(*) from dead_jobs"
    store_cases.write_store(store_cases.case_of(root, spec))
    kind_of_both = KINDS["mapped"]
    kind_of_both.prepare(root)
    bury = (
        "from shop.send_receipt_store import bury\nfor _ in 'ab': bury({'order_id': None}, 'x')\n"
    )
    env = kind_of_both.env(root) | {"SHOP_REDIS": "redis://localhost:1/0"}
    store_cases.python(root, bury, **env)
    assert store_cases.python(root, kind_of_both.counted, **env).stdout == "1\n"


def test_the_receiver_needs_no_store(make_repo: Callable[..., Path]) -> None:
    spec = store_cases.spec()
    spec["idempotency"]["dedupe"]["store"] = "receiver"
    root = make_repo(MAPPED)
    store = store_cases.write_store(store_cases.case_of(root, spec))
    assert (store.kind, store.path) == ("receiver", "shop/send_receipt_store.py")
    text = (root / store.path).read_text()
    assert "def bury(" in text and "def once(" not in text
    assert "class Receipt" not in (root / "shop/models.py").read_text()
    quiet = spec | {"dead_letter": {"kind": "none", "reason": "a test"}}
    silent = make_repo(MAPPED, name="silent")
    assert not (silent / store_cases.write_store(store_cases.case_of(silent, quiet)).path).exists()


def test_of_a_key_the_order_and_the_quotes_count(make_repo: Callable[..., Path]) -> None:
    """Two different jobs never share a key."""
    spec = store_cases.spec(dead=None, key=("email", "order_id"))
    spec["idempotency"]["dedupe"]["store"] = "redis receipts"
    root = make_repo(NO_CLIENT)
    store_cases.write_store(store_cases.case_of(root, spec))
    text = (root / "shop/send_receipt_store.py").read_text()
    assert "def once(email: str, order_id: int)" in text
    assert 'return f"receipts:{email!r}:{order_id}"' in text
