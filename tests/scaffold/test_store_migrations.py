"""The revisions that a store adds: Alembic runs them, finds nothing more to do, and takes them
back.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import helpers
import pytest
import store_cases
from store_kinds import CLASSIC, MAPPED

from skillrun.core.errors import Blocked

ENV = """
    from alembic import context

    from shop.{module} import Base, engine
    import shop.models

    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=shop.models.Base.metadata)
        with context.begin_transaction():
            context.run_migrations()
    """
REVISION = """
    from alembic import op
    import sqlalchemy as sa

    {revision} = "{id}"
    {down} = {below}


    def upgrade():
        {up}


    def downgrade():
        pass
    """
WALLETS = (
    'op.create_table("wallets", sa.Column("id", sa.Integer(), nullable=False),'
    ' sa.PrimaryKeyConstraint("id"))'
)


def revision(id: str, below: str = "None", up: str = "pass", *, annotated: bool = False) -> str:
    names = (
        ("revision: str", "down_revision: str | None")
        if annotated
        else ("revision", "down_revision")
    )
    return REVISION.format(revision=names[0], down=names[1], id=id, below=below, up=up)


HASHED = {
    **MAPPED,
    "alembic.ini": "[alembic]\nscript_location = %(here)s/migrations\n",
    "migrations/env.py": ENV.format(module="models"),
    "migrations/versions/9f2c_wallets.py": revision("9f2c", up=WALLETS, annotated=True),
}
COUNTED = {
    **CLASSIC,
    "deploy/alembic.ini": (
        "[alembic]\nscript_location = shop/alembic\nfile_template = %%(year)d_%%(rev)s-%%(slug)s\n"
    ),
    "shop/alembic/env.py": ENV.format(module="db"),
    "shop/alembic/versions/2019_0001-wallets.py": revision("0001", up=WALLETS),
    "shop/alembic/versions/2019_0002-nothing.py": revision("0002", '"0001"'),
}


IN_DEPLOY = "python -m alembic -c deploy/alembic.ini upgrade head"


def alembic(root: Path, *args: str) -> str:
    ini = "alembic.ini" if (root / "alembic.ini").exists() else "deploy/alembic.ini"
    env = store_cases.environment(root, SHOP_DB=f"sqlite:///{root}/app.sqlite")
    command = [sys.executable, "-m", "alembic", "-c", ini, *args]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.real
@pytest.mark.parametrize(
    ("files", "pattern", "setup"),
    [
        (
            HASHED,
            "migrations/versions/????????????_add_receipts_dead_jobs.py",
            "python -m alembic upgrade head",
        ),
        (COUNTED, "shop/alembic/versions/20??_0003-add_receipts_dead_jobs.py", IN_DEPLOY),
    ],
    ids=["hashed", "counted"],
)
def test_alembic_finds_nothing_more_to_do(
    make_repo: Callable[..., Path], files: dict[str, str], pattern: str, setup: str
) -> None:
    root = make_repo(files)
    case = store_cases.case_of(root, store_cases.spec(key=("order_id", "email")))
    store = store_cases.write_store(case)
    (written,) = root.glob(pattern)
    assert store.extras["setup"] == setup
    alembic(root, "upgrade", "head")
    assert "No new upgrade operations" in alembic(root, "check")
    alembic(root, "downgrade", "-1")
    alembic(root, "upgrade", "head")
    subprocess.run([sys.executable, "-m", "black", "-q", "--check", str(written)], check=True)
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,F,I", str(written)]
    subprocess.run(ruff, check=True, cwd=root)


def test_a_table_that_a_revision_creates_gets_no_second_one(make_repo: Callable[..., Path]) -> None:
    root = make_repo(HASHED)
    case = store_cases.case_of(root, store_cases.spec())
    assert store_cases.find(case).extras["orm"].migration is not None
    store_cases.write_store(case)
    again = store_cases.find(store_cases.case_of(root, store_cases.spec()))
    orm = again.extras["orm"]
    assert (orm.migration, orm.model.exists, orm.dead.exists) == (None, True, True)


def test_another_job_shares_the_dead_letters(make_repo: Callable[..., Path]) -> None:
    root = make_repo(HASHED)
    store_cases.write_store(store_cases.case_of(root, store_cases.spec()))
    other = store_cases.spec(job="charge-card", handler="shop.tasks:charge_card")
    other["idempotency"]["dedupe"]["store"] = "table charges"
    found = store_cases.find(store_cases.case_of(root, other)).extras["orm"]
    assert (found.migration.done, found.migration.dead, found.dead.name) == (True, False, "DeadJob")
    assert found.migration.down_revision not in (None, "9f2c")


def test_several_heads_are_refused(make_repo: Callable[..., Path]) -> None:
    root = make_repo({**HASHED, "migrations/versions/aaaa_other.py": revision("aaaa", '"9f2b"')})
    with pytest.raises(Blocked, match="migrations/versions/ has several heads: 9f2c, aaaa"):
        store_cases.find(store_cases.case_of(root, store_cases.spec()))


def test_several_ends_of_an_app_are_refused(make_repo: Callable[..., Path]) -> None:
    from store_kinds import DJANGO

    end = DJANGO["shop/migrations/0001_initial.py"].replace(
        "dependencies = []", 'dependencies = [("shop", "0001_initial")]'
    )
    root = make_repo({**DJANGO, "shop/migrations/0002_a.py": end, "shop/migrations/0002_b.py": end})
    with pytest.raises(Blocked, match="shop/migrations has several ends: 0002_a, 0002_b"):
        store_cases.find(store_cases.case_of(root, store_cases.spec()))


def test_what_comes_after_a_squashed_migration_is_the_end(make_repo: Callable[..., Path]) -> None:
    from store_kinds import DJANGO

    first = DJANGO["shop/migrations/0001_initial.py"]
    squashed = first.replace(
        "dependencies = []", 'replaces = [("shop", "0001_initial"), ("shop", "0002_a")]'
    )
    third = first.replace("dependencies = []", 'dependencies = [("shop", "0002_a")]')
    path = "shop/migrations/0001_squashed_0002_a.py"
    root = make_repo({**DJANGO, path: squashed, "shop/migrations/0003_b.py": third})
    found = store_cases.find(store_cases.case_of(root, store_cases.spec()))
    assert found.extras["orm"].migration.after == "0003_b"
    (root / "shop/migrations/0003_b.py").unlink()
    (root / "shop/migrations/0001_initial.py").unlink()
    found = store_cases.find(store_cases.case_of(root, store_cases.spec()))
    assert found.extras["orm"].migration.after == "0001_squashed_0002_a"


def test_an_app_without_migrations_gets_none(make_repo: Callable[..., Path]) -> None:
    """A first migration of ours would keep Django from making the other tables."""
    from store_kinds import DJANGO

    root = make_repo({path: text for path, text in DJANGO.items() if "migrations" not in path})
    store = store_cases.find(store_cases.case_of(root, store_cases.spec()))
    assert store.extras["orm"].migration is None
    assert "shop keeps no migrations" in store.extras["notes"][0]
    assert helpers.git(root, "status", "--porcelain") == ""
