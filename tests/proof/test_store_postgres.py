"""PostgreSQL through psycopg, psycopg2, asyncpg, and through what stands above them."""

from __future__ import annotations

import sys
from pathlib import Path

import hooked
import pytest

from skillrun.proof.services.find import find_postgres

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(find_postgres() is None, reason="no PostgreSQL server here"),
]

MAKE = (
    "import os, psycopg; c = psycopg.connect(os.environ['PG'], autocommit=True);"
    " c.execute('create table t (id serial primary key, v text)')"
)
PG = {
    "services": ("postgresql",),
    "env": {"PG": "{postgresql}"},
    "setup": f'{sys.executable} -c "{MAKE}"',
}


def seen(delivery: hooked.Delivery) -> list[tuple[str, bool | None]]:
    """(name, whether it was still uncommitted afterwards) of each boundary that was passed."""
    assert not list(delivery.all("undeclared"))
    return [(e["name"], e["open"]) for e in delivery.all("at") if e["when"] == "after"]


def test_psycopg(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    delivery = hooked.run(
        tmp_path,
        """
        import os, psycopg
        from psycopg import sql
        def main(payload):
            with psycopg.connect(os.environ["PG"]) as c:
                c.execute(b"insert into t values (1, 'a')")
                with c.cursor() as cursor:
                    cursor.executemany("insert into t values (%s, 'a')", [(2,), (3,)])
                    cursor.execute(sql.SQL("update {} set v = 'b'").format(sql.Identifier("t")))
                    with cursor.copy("copy t from stdin") as copy:
                        copy.write_row((9, "x"))
                with c.cursor("named") as cursor:
                    cursor.execute("select * from t")
            c = psycopg.connect(os.environ["PG"], autocommit=True)
            c.execute("delete from t where id = 1")
            c.commit()
            with c.transaction():
                c.execute("delete from t where id = 2")
                with c.transaction():
                    c.execute("delete from t where id = 3")
                c.execute("delete from t where id = 3")
            with c.transaction(force_rollback=True):
                c.execute("delete from t")
            list(c.cursor().stream("select * from t where id = %s", [4]))
        """,
        **PG,
    )
    assert seen(delivery) == [
        ("insert-t#1", True),
        ("insert-t#2", True),
        ("update-t#1", True),
        ("copy-t#1", True),
        ("select-t#1", True),
        ("commit#1", None),
        ("delete-t#1", False),
        ("delete-t#2", True),
        ("delete-t#3", True),
        ("delete-t#4", True),
        ("commit#2", None),
        ("delete-t#5", True),
        ("rollback#1", None),
        ("select-t#2", False),
    ]
    event = hooked.find(delivery, "delete-t#1")
    assert (event["kind"], event["store"], event["tables"], event.place) == (
        "sql",
        "postgresql",
        ["t"],
        ("jobs.py", 14),
    )


def test_a_commit_after_an_error_is_a_rollback(tmp_path: Path) -> None:
    delivery = hooked.run(
        tmp_path,
        """
        import os, psycopg, psycopg2
        def main(payload):
            for driver in (psycopg, psycopg2):
                c = driver.connect(os.environ["PG"])
                try:
                    c.cursor().execute("insert into nowhere values (1)")
                except driver.Error:
                    c.commit()
        """,
        **PG,
    )
    assert seen(delivery) == [("rollback#1", None), ("rollback#2", None)]


def test_psycopg_with_asyncio(tmp_path: Path) -> None:
    delivery = hooked.run(
        tmp_path,
        """
        import os, psycopg
        async def main(payload):
            async with await psycopg.AsyncConnection.connect(os.environ["PG"]) as c:
                await c.execute("insert into t values (11, 'a')")
                await c.commit()
                async with c.transaction():
                    await c.execute("insert into t values (12, 'a')")
                async with c.cursor() as cursor, cursor.copy("copy t to stdout") as copy:
                    assert len([row async for row in copy.rows()]) == 2
        """,
        **PG,
    )
    assert seen(delivery) == [
        ("insert-t#1", True),
        ("commit#1", None),
        ("insert-t#2", True),
        ("commit#2", None),
        ("select-t#1", True),
        ("commit#3", None),
    ]


def test_psycopg2(tmp_path: Path) -> None:
    pytest.importorskip("psycopg2")
    delivery = hooked.run(
        tmp_path,
        """
        import io, os, psycopg2
        from psycopg2 import extras, sql
        def main(payload):
            c = psycopg2.connect(os.environ["PG"], connection_factory=extras.DictConnection)
            with c, c.cursor() as cursor:
                cursor.execute(sql.SQL("insert into {} values (1, 'a')").format(sql.Identifier("t")))
                extras.execute_values(cursor, "insert into t values %s", [(2, "a"), (3, "b")])
                cursor.execute("select * from t where id = 1")
                assert cursor.fetchone()["v"] == "a"
            with c.cursor(cursor_factory=extras.RealDictCursor) as cursor:
                cursor.execute("select * from t for update")
                assert len(cursor.fetchall()) == 3
            c.rollback()
            c.autocommit = True
            c.cursor().execute("delete from t where id = 1")
            c.autocommit = False
            cursor = c.cursor("named")
            cursor.execute("select * from t")
            cursor = c.cursor()
            cursor.copy_from(io.StringIO("20\\tx\\n"), "t")
            cursor.copy_expert("copy t to stdout", io.StringIO())
            cursor.execute("savepoint a; ")
            cursor.execute("rollback to a")
            cursor.execute("COMMIT")
        """,
        **PG,
    )
    assert seen(delivery) == [
        ("insert-t#1", True),
        ("insert-t#2", True),
        ("select-t#1", True),
        ("commit#1", None),
        ("select-t#2", True),
        ("rollback#1", None),
        ("delete-t#1", False),
        ("select-t#3", True),
        ("copy-t#1", True),
        ("select-t#4", True),
        ("commit#2", None),
    ]


def test_asyncpg(tmp_path: Path) -> None:
    pytest.importorskip("asyncpg")
    delivery = hooked.run(
        tmp_path,
        """
        import asyncpg, os
        async def main(payload):
            pool = await asyncpg.create_pool(os.environ["PG"], min_size=1)
            async with pool.acquire() as c:
                await c.execute("insert into t values (1, 'a')")
                await c.execute("insert into t values ($1, 'a')", 2)
                async with c.transaction():
                    await c.executemany("insert into t values ($1, 'a')", [(3,), (4,)])
                    async with c.transaction():
                        await c.fetchrow("update t set v = 'x' where id = 1 returning id")
                    statement = await c.prepare("delete from t where id = $1")
                    await statement.fetch(3)
                    assert len([row async for row in c.cursor("select * from t")]) == 3
                await c.copy_records_to_table("t", records=[(10, "a")])
            await pool.close()
        """,
        **PG,
    )
    assert seen(delivery) == [
        ("insert-t#1", False),
        ("insert-t#2", False),
        ("insert-t#3", True),
        ("update-t#1", True),
        ("delete-t#1", True),
        ("select-t#1", True),
        ("commit#1", None),
        ("copy-t#1", False),
    ]


DJANGO = """
    import os, sys
    if os.environ.get("OLD"):
        sys.modules["psycopg"] = None
    import django
    from django.conf import settings
    host = os.environ["PG"].rpartition("=")[2].replace("%2F", "/")
    settings.configure(DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": "app", "USER": "postgres", "HOST": host}})
    django.setup()
    from django.db import models, transaction
    class T(models.Model):
        v = models.TextField()
        class Meta: app_label, db_table, managed = "shop", "t", False
    def main(payload):
        T.objects.create(v="a")
        with transaction.atomic():
            T.objects.select_for_update().get(v="a")
            with transaction.atomic():
                T.objects.filter(v="a").update(v="c")
        from django.db import connection
        assert connection.Database.__name__ == ("psycopg2" if os.environ.get("OLD") else "psycopg")
    """


@pytest.mark.parametrize("old", ["", "1"])
def test_django(tmp_path: Path, old: str) -> None:
    pytest.importorskip("django")
    delivery = hooked.run(tmp_path, DJANGO, **{**PG, "env": {**PG["env"], "OLD": old}})
    assert seen(delivery) == [
        ("insert-t#1", False),
        ("select-t#1", True),
        ("update-t#1", True),
        ("commit#1", None),
    ]


SQLALCHEMY = """
    import asyncio, os
    from sqlalchemy import create_engine, select, text
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
    class Base(DeclarativeBase): pass
    class T(Base):
        __tablename__ = "t"
        id: Mapped[int] = mapped_column(primary_key=True)
        v: Mapped[str]
    def url(name): return os.environ["PG"].replace("postgresql:", f"postgresql+{os.environ[name]}:")
    def main(payload):
        engine = create_engine(url("SYNC"))
        with engine.begin() as connection:
            connection.execute(text("insert into t values (1, 'a')"))
        with Session(engine) as session:
            session.add(T(id=2, v="x"))
            session.commit()
            session.execute(select(T).with_for_update()).all()
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("insert into t values (3, 'a')"))
        asyncio.run(again())
    async def again():
        engine = create_async_engine(url("ASYNC"))
        async with engine.begin() as connection:
            await connection.execute(text("insert into t values (4, 'a')"))
        await engine.dispose()
    """


@pytest.mark.parametrize(
    ("sync", "with_asyncio"), [("psycopg", "psycopg"), ("psycopg2", "asyncpg")]
)
def test_sqlalchemy(tmp_path: Path, sync: str, with_asyncio: str) -> None:
    """What it asks a new connection is no step of the handler's."""
    for name in ("sqlalchemy", "greenlet", sync, with_asyncio):
        pytest.importorskip(name)
    delivery = hooked.run(
        tmp_path, SQLALCHEMY, **{**PG, "env": {**PG["env"], "SYNC": sync, "ASYNC": with_asyncio}}
    )
    assert seen(delivery) == [
        ("insert-t#1", True),
        ("commit#1", None),
        ("insert-t#2", True),
        ("commit#2", None),
        ("select-t#1", True),
        ("rollback#1", None),
        ("insert-t#3", False),
        ("insert-t#4", True),
        ("commit#3", None),
    ]


ELSEWHERE = """
    import os, {driver}
    def main(payload):
        os.environ["PGHOST"] = "198.51.100.1"
        folder = os.environ["PG"].rpartition("=")[2].replace("%2F", "/")
        for where in ("postgresql://u@127.0.0.1:1/x", "host=/nowhere port=2", "connect_timeout=1 port=3",
                      f"host={{folder}} hostaddr=127.0.0.2 port=4"):
            try:
                {driver}.connect(where)
            except {driver}.OperationalError:
                pass
        {driver}.connect(os.environ["PG"]).close()
    """


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_any_server_but_the_proofs_is_network(tmp_path: Path, driver: str) -> None:
    delivery = hooked.run(tmp_path, ELSEWHERE.format(driver=driver), **PG)
    assert [
        (e["kind"], e["detail"]) for e in delivery.all("undeclared") if "PostgreSQL" in e["detail"]
    ] == [
        ("network", "PostgreSQL at 127.0.0.1:1"),
        ("network", "PostgreSQL at /nowhere:2"),
        ("network", "PostgreSQL at 198.51.100.1:3"),
        ("network", "PostgreSQL at 127.0.0.2:4"),
    ]


def test_a_connection_from_before_the_fork_is_said(tmp_path: Path) -> None:
    """It is broken as well: the database was put back, which ends every connection."""
    history = hooked.history(
        tmp_path,
        """
        import os, psycopg
        c = psycopg.connect(os.environ["PG"])
        def main(payload):
            c.execute("insert into t values (1, 'a')")
        """,
        **PG,
    )
    assert [e["what"] for e in history.runs[0].all("note")] == ["connection-before-fork"]
