"""How a proof reaches the database: by variables, in parts, by its driver, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import store_cases
from finding_stores import proved
from store_kinds import (
    DJANGO,
    ENGINE_ONLY,
    MAPPED,
)

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
