"""Where no store can be written, and where something is in the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import store_cases
from store_kinds import (
    DJANGO,
    FLASK_FACTORY,
    KINDS,
    MAPPED,
    REDIS,
)

from skillrun.core.errors import Blocked

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
    assert (store.kind, store.extras["orm"].style) == ("sqlalchemy", "flask")


@pytest.mark.parametrize(("files", "spec", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_written_is_said_in_a_line(
    make_repo: Callable[..., Path], files: Mapping[str, str], spec: dict[str, Any], said: str
) -> None:
    with pytest.raises(Blocked, match=said) as refused:
        store_cases.find(store_cases.case_of(make_repo(files), spec))
    assert refused.value.hint and "\n" not in str(refused.value)


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
