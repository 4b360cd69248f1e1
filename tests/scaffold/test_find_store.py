"""Which store a repository gets, what a proof is told of it, and that the stage idempotency is
content with it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import store_cases
from store_kinds import (
    BARE_DJANGO,
    CLASSIC,
    DJANGO,
    ENGINE_ONLY,
    FLASK_FACTORY,
    KINDS,
    MAPPED,
    NO_CLIENT,
    REDIS,
    SQLMODEL,
    Kind,
)

from skillrun.core.errors import Blocked
from skillrun.skills.job_worker.scaffold.stores.proof import proof_part
from skillrun.skills.job_worker.scaffold.stores.variables import read_variable
from skillrun.skills.job_worker.stages import idempotency

CELERY = {
    "requirements.txt": "celery>=5\nsqlalchemy\nredis\ndjango\n",
    "Procfile": "worker: celery -A shop worker\n",
    "shop/celery.py": (
        """
        from celery import Celery

        app = Celery("shop", broker="amqp://localhost", include=["shop.tasks"])
        """
    ),
    "shop/mailer.py": "def send(order_id, email, *, idempotency_key=None): ...\n",
    "shop/tasks.py": (
        """
        import logging

        from shop import mailer, send_receipt_store
        from shop.celery import app

        logger = logging.getLogger(__name__)


        @app.task(name="shop.send_receipt")
        def send_receipt(order_id: int, email: str) -> None:
            with send_receipt_store.once(order_id) as first:
                if not first:
                    logger.info("send_receipt skipped, done before order_id=%s", order_id)
                    return
                mailer.send(order_id=order_id, email=email, idempotency_key=f"send-receipt-{order_id}")
            logger.info("send_receipt succeeded order_id=%s", order_id)
        """
    ),
}
DOUBTS = {
    "idempotency.store-not-used",
    "idempotency.store-not-checked",
    "idempotency.store-not-judged",
    "idempotency.key-nullable",
    "idempotency.store-narrower",
}
JUDGED = [
    pytest.param(KINDS[name], manner, id=f"{name}-{manner}")
    for name in (
        "mapped",
        "flask",
        "classic",
        "sqlmodel",
        "engine",
        "django",
        "bare_django",
        "redis",
        "redis_once",
        "redis_alone",
    )
    for manner in KINDS[name].manners
]


@pytest.mark.parametrize(("kind", "manner"), JUDGED)
def test_the_stage_is_content(make_repo: Callable[..., Path], kind: Kind, manner: str) -> None:
    root = make_repo({**kind.files, **CELERY})
    spec = kind.spec(manner)
    store_cases.write_store(store_cases.case_of(root, spec))
    found = idempotency.examine(store_cases.case_of(root, spec)).findings
    bad = [f for f in found if f.severity in ("blocker", "error") or f.rule in DOUBTS]
    assert [(f.rule, f.message) for f in bad] == []


def proved(root: Path, spec: Mapping[str, Any]) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    case = store_cases.case_of(root, spec)
    store = store_cases.find(case)
    return store.kind, proof_part(store, case), store.facts["notes"]


TABLES = {
    "state": {"receipts": "select order_id from receipts order by order_id"},
    "dead_letters": "select count(*) from dead_jobs",
}
PSYCOPG = {"requirements.txt": "psycopg[binary]\n"}
PSYCOPG_URL = "postgresql+psycopg://{postgresql.user}@/{postgresql.name}?host={postgresql.host}"
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


NO_PEEWEE = """
    import sqlite3


    def connect():
        return sqlite3.connect("shop.db")
    """
REFUSED: dict[str, tuple[Mapping[str, str], dict[str, Any], str]] = {
    "a table of other columns": (
        {**MAPPED, "shop/models.py": MAPPED["shop/models.py"].replace('"wallets"', '"receipts"')},
        store_cases.spec(),
        r"shop/models.py:\d+: Wallet \(receipts\) lacks order_id: a scaffold changes no table",
    ),
    "no app": (
        {**DJANGO, "config/tasks.py": ""},
        store_cases.spec(handler="config.tasks:send_receipt"),
        "send-receipt.yaml:.*: handler: config is no app of Django",
    ),
    "no database for dead letters": (
        REDIS,
        store_cases.spec(
            idempotency={"strategy": "keyed", "key": ["order_id"], "dedupe": {"store": "redis r"}}
        ),
        "dead_letter.kind is table, and there is no database",
    ),
    "a transaction with redis": (
        REDIS,
        store_cases.spec(
            "transactional",
            dead=None,
            idempotency={"strategy": "keyed", "key": ["order_id"], "dedupe": {"store": "redis r"}},
        ),
        "effects.0 email is transactional, and Redis takes part in no transaction",
    ),
    "no place": (
        MAPPED,
        store_cases.spec(
            idempotency={"strategy": "keyed", "key": ["order_id"], "dedupe": {"store": "memory"}}
        ),
        "idempotency.dedupe.store: 'memory' is nothing that a scaffold can write",
    ),
    "an old SQLAlchemy": (
        {**MAPPED, "requirements.txt": "celery\nsqlalchemy==1.3.24\n"},
        store_cases.spec(),
        "requirements.txt:2: sqlalchemy==1.3.24: the store is written for SQLAlchemy 1.4",
    ),
    "a file beside another database": (
        {
            "pyproject.toml": '[project]\nname = "shop"\ndependencies = ["peewee"]\n',
            "shop/tasks.py": "",
        },
        store_cases.spec(),
        "dedupe.store: no models and no session that a module could import were found beside peew",
    ),
    "a key that is no value": (
        MAPPED,
        store_cases.spec(
            payload={"type": "object", "properties": {"order_id": {"type": ["integer", "null"]}}}
        ),
        "idempotency.key: order_id has no type that a column can have",
    ),
}


@pytest.mark.parametrize(
    "files",
    [
        {"pyproject.toml": '[dependency-groups]\ndev = ["peewee"]\n'},
        {"services/web/requirements.txt": "peewee\n"},
        {"requirements.txt": "peewee\n", "shop/db.py": NO_PEEWEE},
    ],
    ids=["of the tests", "of another project", "and SQLite is used"],
)
def test_a_database_that_a_job_has_nothing_to_do_with_is_no_obstacle(
    make_repo: Callable[..., Path], files: dict[str, str]
) -> None:
    root = make_repo({"shop/tasks.py": "", **files})
    assert store_cases.find(store_cases.case_of(root, store_cases.spec())).kind == "sqlite3"


def test_a_class_of_the_applications_own_is_flasks_too(make_repo: Callable[..., Path]) -> None:
    own = FLASK_FACTORY["shop/models.py"].replace(
        "db = SQLAlchemy()", "class Own(SQLAlchemy):\n            pass\n\n\n        db = Own()"
    )
    store = store_cases.find(
        store_cases.case_of(make_repo({**FLASK_FACTORY, "shop/models.py": own}), store_cases.spec())
    )
    assert (store.kind, store.facts["orm"].style) == ("sqlalchemy", "flask")


@pytest.mark.parametrize(("files", "spec", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_written_is_said_in_a_line(
    make_repo: Callable[..., Path], files: Mapping[str, str], spec: dict[str, Any], said: str
) -> None:
    with pytest.raises(Blocked, match=said) as refused:
        store_cases.find(store_cases.case_of(make_repo(files), spec))
    assert refused.value.hint and "\n" not in str(refused.value)


IN_PARTS = """
    import os

    SECRET_KEY = "for-this-test-alone"
    INSTALLED_APPS = ["shop"]
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.getenv("POSTGRES_DB", "shop"),
            "USER": os.getenv("POSTGRES_USER", "shop"),
            "PASSWORD": os.getenv("POSTGRES_PASSWORD", "password"),
            "HOST": os.getenv("POSTGRES_HOST", "postgres"),
            "PORT": 5432,
        }
    }
    """


def test_django_s_postgresql_in_parts_is_the_proof_s_server(make_repo: Callable[..., Path]) -> None:
    _, part, notes = proved(
        make_repo({**DJANGO, "config/settings.py": IN_PARTS}), store_cases.spec()
    )
    assert part["env"] == {
        "POSTGRES_HOST": "{postgresql.host}",
        "POSTGRES_DB": "{postgresql.name}",
        "POSTGRES_USER": "{postgresql.user}",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    assert (part["services"], part["database"], notes) == (["postgresql"], "{postgresql}", ())


def test_settings_may_be_annotated(make_repo: Callable[..., Path]) -> None:
    annotated = IN_PARTS.replace("DATABASES = {", "DATABASES: dict[str, dict[str, object]] = {")
    assert annotated != IN_PARTS
    _, part, _ = proved(make_repo({**DJANGO, "config/settings.py": annotated}), store_cases.spec())
    assert part["services"] == ["postgresql"]


def test_a_host_that_no_variable_reaches_is_said(make_repo: Callable[..., Path]) -> None:
    fixed = IN_PARTS.replace('os.getenv("POSTGRES_HOST", "postgres")', '"db"')
    _, part, notes = proved(make_repo({**DJANGO, "config/settings.py": fixed}), store_cases.spec())
    assert "services" not in part
    assert "HOST is read from no variable" in notes[0]


def test_the_driver_of_the_default_is_kept(make_repo: Callable[..., Path]) -> None:
    named = MAPPED["shop/models.py"].replace(
        'os.environ["SHOP_DB"]', 'os.getenv("SHOP_DB", "postgresql+psycopg://shop@db/shop")'
    )
    _, part, notes = proved(make_repo({**MAPPED, "shop/models.py": named}), store_cases.spec())
    url = "postgresql+psycopg://{postgresql.user}@/{postgresql.name}?host={postgresql.host}"
    assert (part["env"], notes) == ({"SHOP_DB": url}, ())


def test_a_class_of_plain_settings_is_followed(make_repo: Callable[..., Path]) -> None:
    """testdrivenio/fastapi-celery-project."""
    files = {
        **ENGINE_ONLY,
        "shop/config.py": (
            """
            import os


            class Base:
                DATABASE_URL: str = os.environ.get("SHOP_URL", f"sqlite:///{__file__}.db")


            class Testing(Base):
                DATABASE_URL: str = "sqlite:///./test.db"


            settings = {"": Base, "testing": Testing}[os.environ.get("SHOP", "")]()
            """
        ),
        "shop/db.py": (
            """
            from sqlalchemy import create_engine

            from shop.config import settings

            engine = create_engine(settings.DATABASE_URL)
            """
        ),
    }
    _, part, notes = proved(make_repo(files), store_cases.spec())
    assert (part["env"], notes) == ({"SHOP_URL": "sqlite:///{scratch}/app.db"}, ())


def test_the_folder_of_manage_py_is_no_package(make_repo: Callable[..., Path]) -> None:
    """nickjj/docker-django-example: src/__init__.py beside src/manage.py, and the app is imported
    as `shop`.
    """
    files = {"src/__init__.py": "", **{f"src/{path}": text for path, text in DJANGO.items()}}
    store = store_cases.find(store_cases.case_of(make_repo(files), store_cases.spec()))
    assert (store.kind, store.path) == ("django", "src/shop/send_receipt_store.py")


def test_a_package_that_is_still_to_be_made_lies_where_the_others_do(
    make_repo: Callable[..., Path],
) -> None:
    files = {
        f"src/{path}": text
        for path, text in KINDS["mapped"].files.items()
        if path.startswith("shop/")
    }
    spec = store_cases.spec(handler="shop.mails.jobs:send_receipt")
    store = store_cases.find(store_cases.case_of(make_repo(files), spec))
    assert (store.module, store.path) == (
        "shop.mails.send_receipt_store",
        "src/shop/mails/send_receipt_store.py",
    )


def test_an_app_that_is_not_installed_is_said(make_repo: Callable[..., Path]) -> None:
    files = {
        **DJANGO,
        "config/settings.py": DJANGO["config/settings.py"].replace('["shop"]', '["pages"]'),
    }
    case = store_cases.case_of(make_repo(files), store_cases.spec())
    with pytest.raises(
        Blocked, match=r"shop is not in config/settings.py:4: INSTALLED_APPS"
    ) as raised:
        store_cases.find(case)
    assert raised.value.hint == "add shop there, or name a handler in an app that is there"


@pytest.mark.parametrize(
    "pinned", ["sqlalchemy==1.4.54", "sqlalchemy>=1.3", "sqlalchemy==2.0.1", "sqlalchemy>=1.3,<2"]
)
def test_a_newer_sqlalchemy_is_not_refused(make_repo: Callable[..., Path], pinned: str) -> None:
    repo = make_repo({**MAPPED, "requirements.txt": f"celery\n{pinned}\n"})
    assert store_cases.find(store_cases.case_of(repo, store_cases.spec())).kind == "sqlalchemy"
