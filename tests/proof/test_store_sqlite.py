"""SQLite through sqlite3, and through what stands above it; its clock is the virtual one."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import hooked
import pytest

MAKE = (
    "import os, sqlite3; c = sqlite3.connect(os.environ['DB']); c.executescript('create table t (id"
    " integer, v)')"
)
DB = {"env": {"DB": "{scratch}/shop.db"}, "setup": f'{sys.executable} -c "{MAKE}"'}
CONNECT = "import os, sqlite3\ndef main(payload):\n    c = sqlite3.connect(os.environ['DB'])\n"


def lines(*statements: str) -> str:
    """A handler that has a connection `c` and runs these lines."""
    return CONNECT + "".join(f"    {line}\n" for line in statements)


def seen(delivery: hooked.Delivery) -> list[tuple[str, bool | None]]:
    """(name, whether it was still uncommitted afterwards) of each boundary that was passed."""
    return [(e["name"], e["open"]) for e in delivery.all("at") if e["when"] == "after"]


def other_pythons() -> list[str]:
    """This one, and the system's where it is another."""
    system = Path("/usr/bin/python3")
    return [sys.executable, *([str(system)] if system.exists() else [])]


@functools.cache
def newest() -> str | None:
    """An interpreter whose connections have the attribute `autocommit`."""
    asks = "import sqlite3; assert hasattr(sqlite3.Connection, 'autocommit')"
    for python in reversed(other_pythons()):
        if subprocess.run([python, "-c", asks], capture_output=True).returncode == 0:
            return python
    return None


@pytest.mark.real
def test_legacy_transactions_open_with_a_write_and_end_with_the_block(tmp_path: Path) -> None:
    delivery = hooked.run(
        tmp_path,
        lines(
            "with c:",
            "    c.execute('select 1 from t')",
            '    c.execute(\'insert or ignore into main."t" values (1, 2) returning'
            " id').fetchall()",
            "c.executemany('update t set v = ?', [(1,), (2,)])",
            "c.rollback()",
            "c.commit()",
            "c.execute('with x as (select 1 as a) insert into t select a, a from x')",  # Python begins nothing for it
            "c.commit()",
        ),
        **DB,
    )
    assert seen(delivery) == [
        ("select-t#1", False),
        ("insert-t#1", True),
        ("commit#1", None),
        ("update-t#1", True),
        ("rollback#1", None),
        ("insert-t#2", False),
    ]
    event = hooked.find(delivery, "insert-t#1")
    assert (event["verb"], event["table"], event["tables"], event.place) == (
        "insert",
        "t",
        ["t"],
        ("jobs.py", 6),
    )
    assert event["store"] == "sqlite:{scratch}/shop.db"


@pytest.mark.real
def test_transactions_in_sql(tmp_path: Path) -> None:
    delivery = hooked.run(
        tmp_path,
        lines(
            "c.isolation_level = None",
            "c.execute('insert into t values (1, 1)')",
            "c.execute('begin'); c.execute('commit')",  # there is nothing to commit
            "c.execute('BEGIN IMMEDIATE')",
            "c.execute('delete from t')",
            "c.execute('savepoint a'); c.execute('rollback to a'); c.execute('release a')",
            "c.execute('COMMIT')",
            "c.execute('savepoint b'); c.execute('delete from t'); c.execute('release b')",
        ),
        **DB,
    )
    assert seen(delivery) == [
        ("insert-t#1", False),
        ("delete-t#1", True),
        ("commit#1", None),
        ("delete-t#2", True),
        ("commit#2", None),
    ]


@pytest.mark.real
def test_a_script_is_its_statements(tmp_path: Path) -> None:
    delivery = hooked.run(
        tmp_path,
        lines(
            "c.execute('insert into t values (0, 0)')",
            "c.executescript(\"insert into t values (1, 'x;y'); begin; delete from t where id = 1;"
            ' commit; -- done")',
            "c.execute('insert into t values (2, 2)')",
            "assert c.in_transaction and c.isolation_level == ''",
            "c.rollback()",
            "assert c.execute('select id from t').fetchall() == [(0,)]",
        ),
        **DB,
    )
    assert seen(delivery)[:6] == [
        ("insert-t#1", True),
        ("commit#1", None),
        ("insert-t#2", False),
        ("delete-t#1", True),
        ("commit#2", None),
        ("insert-t#3", True),
    ]


@pytest.mark.real
def test_a_script_with_a_trigger(tmp_path: Path) -> None:
    delivery = hooked.run(
        tmp_path,
        lines(
            "c.executescript('create trigger g after insert on t begin update t set v = 9; delete"
            " from t; end; insert into t values (1, 1)')"
        ),
        **DB,
    )
    assert hooked.after(delivery) == ["create-g#1", "insert-t#1"]


def test_a_kill_before_the_commit_loses_the_write(tmp_path: Path) -> None:
    code = lines("c.execute('insert into t values (1, 1)')", "c.commit()")
    history = hooked.history(
        tmp_path,
        code,
        "kill@before:commit#1",
        database="{scratch}/shop.db",
        state={"rows": "select count(*) from t"},
        **DB,
    )
    assert [run.died for run in history.runs] == [True, False]
    assert history.state["rows"] == [[1]]


@pytest.mark.skipif(newest() is None, reason="no Python 3.12 here")
@pytest.mark.real
def test_the_autocommit_attribute(tmp_path: Path) -> None:
    delivery = hooked.run(
        tmp_path,
        """
        import os, sqlite3
        def main(payload):
            c = sqlite3.connect(os.environ["DB"], autocommit=False)
            with c:
                c.execute("insert into t values (1, 1)")
            c.commit()
            c.executescript("insert into t values (2, 2); insert into t values (3, 3)")
            c.rollback()
            c.close()
            c = sqlite3.connect(os.environ["DB"], autocommit=True)
            with c:
                c.execute("insert into t values (4, 4)")
            c.execute("begin")
            c.execute("insert into t values (5, 5)")
            c.commit()
            assert c.in_transaction
            c.execute("commit")
            assert c.execute("select id from t").fetchall() == [(1,), (4,), (5,)]
        """,
        python=newest(),
        **DB,
    )
    assert seen(delivery)[:-1] == [
        ("insert-t#1", True),
        ("commit#1", None),
        ("insert-t#2", True),
        ("insert-t#3", True),
        ("rollback#1", None),
        ("insert-t#4", False),
        ("insert-t#5", True),
        ("commit#2", None),
    ]
    # Not where `commit()` does nothing.
    assert hooked.find(delivery, "commit#2").place == (
        "jobs.py",
        17,
    )


CLOCK = """
    import datetime, os, sqlite3, time
    def main(payload):
        time.sleep(86400 * 400)
        c = sqlite3.connect(os.environ["DB"])
        c.execute('''create table a (
            id integer primary key, at text default CURRENT_TIMESTAMP, d text default CURRENT_DATE,
            u default (strftime('%s', 'now')), n, check (datetime(at) is not null))''')
        if sqlite3.sqlite_version_info >= (3, 31):
            c.execute("create table b (at text, day text generated always as (date(at)) stored)")
        c.execute("create index i on a (date(at)) where datetime(at) > '2000'")
        c.execute("create trigger g after insert on a begin update a set n = datetime('now') where id = new.id; end")
        c.execute("create view v as select * from a where at > datetime('now', '-1 hour')")
        c.execute("insert into a (id) values (1)")
        c.commit()
        year = str(datetime.datetime.now(datetime.timezone.utc).year)
        at, d, u, n = c.execute("select at, d, u, n from v").fetchone()
        assert [at[:4], d[:4], n[:4]] == [year] * 3, (at, d, n)
        assert abs(int(u) - time.time()) < 60
        one = lambda what: c.execute("select " + what).fetchone()[0]
        assert one("strftime('%Y')") == one("strftime('%Y', 'NOW')") == one("datetime()")[:4] == year
        assert one("datetime('2020-01-01', '+1 day')") == "2020-01-02 00:00:00"
        assert one("datetime(null)") is None and one("datetime('garbage')") is None
        assert one("datetime(0, 'unixepoch')") == "1970-01-01 00:00:00"
        assert one("julianday('now') > julianday('2020-01-01')") == 1
        assert c.execute("pragma integrity_check").fetchone()[0] == "ok"
    """


@pytest.mark.parametrize("python", other_pythons())
@pytest.mark.real
def test_sqlites_own_clock_is_the_virtual_one_and_breaks_no_schema(
    tmp_path: Path, python: str
) -> None:
    hooked.run(tmp_path, CLOCK, python=python, env={"DB": "{scratch}/shop.db"})


@pytest.mark.real
def test_an_index_on_a_date_that_another_process_made_goes_on_to_work(tmp_path: Path) -> None:
    make = MAKE.replace("(id integer, v)", "(id integer, v); create index i on t (date(v))")
    code = lines(
        "c.execute('insert into t values (1, \"2020-01-01 10:00:00\")')",
        "assert c.execute('select id from t where date(v) = \"2020-01-01\"').fetchall() == [(1,)]",
        "plan = c.execute('explain query plan select id from t where date(v) = 1').fetchall()",
        "assert 'USING INDEX i' in str(plan)",
        "c.commit()",
    )
    hooked.run(tmp_path, code, env=DB["env"], setup=f'{sys.executable} -c "{make}"')


SQLALCHEMY = """
    import os
    from sqlalchemy import create_engine, text
    from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
    engine = create_engine("sqlite:///" + os.environ["DB"])
    class Base(DeclarativeBase): pass
    class T(Base):
        __tablename__ = "t"
        id: Mapped[int] = mapped_column(primary_key=True)
        v: Mapped[int]
    if os.environ.get("EARLY"):
        with engine.connect() as early:
            early.execute(text("select 1 from t"))
    def main(payload):
        with engine.begin() as connection:
            connection.execute(text("insert into t values (1, 1)"))
        with Session(engine) as session:
            session.add(T(id=2, v=2))
            session.flush()
            with session.begin_nested():
                session.add(T(id=3, v=3))
            session.commit()
    """


@pytest.mark.parametrize("early", ["", "1"])
@pytest.mark.real
def test_sqlalchemy(tmp_path: Path, early: str) -> None:
    pytest.importorskip("sqlalchemy")
    delivery = hooked.run(
        tmp_path, SQLALCHEMY, env={**DB["env"], "EARLY": early}, setup=DB["setup"]
    )
    assert hooked.after(delivery) == [
        "insert-t#1",
        "commit#1",
        "insert-t#2",
        "insert-t#3",
        "commit#2",
    ]
    notes = [(e["what"], e.place) for e in delivery.all("note")]
    assert notes == ([("connection-before-fork", ("jobs.py", 15))] if early else [])


@pytest.mark.real
def test_django(tmp_path: Path) -> None:
    pytest.importorskip("django")
    delivery = hooked.run(
        tmp_path,
        """
        import os
        import django
        from django.conf import settings
        settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DB"]}})
        django.setup()
        from django.db import models, transaction
        class T(models.Model):
            v = models.IntegerField()
            class Meta: app_label, db_table, managed = "shop", "t", False
        def main(payload):
            T.objects.filter(v=0).update(v=1)
            with transaction.atomic():
                T.objects.create(v=2)
                with transaction.atomic():
                    T.objects.filter(v=2).update(v=3)
            try:
                with transaction.atomic():
                    T.objects.create(v=4)
                    raise KeyError
            except KeyError:
                pass
        """,
        **DB,
    )
    assert seen(delivery) == [
        ("update-t#1", False),
        ("insert-t#1", True),
        ("update-t#2", True),
        ("commit#1", None),
        ("insert-t#2", True),
        ("rollback#1", None),
    ]


@pytest.mark.real
def test_aiosqlite(tmp_path: Path) -> None:
    pytest.importorskip("aiosqlite")
    delivery = hooked.run(
        tmp_path,
        """
        import aiosqlite, os
        async def main(payload):
            async with aiosqlite.connect(os.environ["DB"]) as c:
                await c.execute("insert into t values (1, 1)")
                await c.commit()
        """,
        **DB,
    )
    assert seen(delivery) == [("insert-t#1", True), ("commit#1", None)]
    assert [hooked.find(delivery, name).place for name in hooked.after(delivery)] == [
        ("jobs.py", 4),
        ("jobs.py", 5),
    ]


@pytest.mark.real
def test_classes_of_the_repositorys_own(tmp_path: Path) -> None:
    delivery = hooked.run(
        tmp_path,
        """
        import os, sqlite3
        class Mine(sqlite3.Connection):
            def insert(self): self.cursor(Pen).execute("insert into t values (1, 1)")
        class Pen(sqlite3.Cursor):
            pass
        def main(payload):
            c = sqlite3.connect(os.environ["DB"], 5.0, 0, "", True, Mine)
            with c:
                c.insert()
            assert isinstance(c, Mine) and isinstance(c.cursor(Pen), Pen)
            c.cursor(lambda connection: Pen(connection)).execute("delete from t")
        """,
        **DB,
    )
    assert seen(delivery) == [("insert-t#1", True), ("commit#1", None)]
    assert [e["kind"] for e in delivery.all("undeclared")] == ["store"]


@pytest.mark.parametrize("python", other_pythons())
@pytest.mark.real
def test_what_returns_rows_is_committed_before_anybody_can_die(tmp_path: Path, python: str) -> None:
    handler = lines(
        "c.isolation_level = None",
        "cursor = c.execute('insert into t values (1, 2), (3, 4), (5, 6) returning id')",
        "assert (cursor.fetchone(), cursor.fetchmany(1), list(cursor)) == ((1,), [(3,)], [(5,)])",
        "assert cursor.fetchall() == []",
        "assert cursor.execute('select id from t order by 1').fetchmany(2) == [(1,), (3,)]",
        "assert cursor.execute('delete from t where id > 1 returning v').fetchall() == [(4,),"
        " (6,)]",
    )
    state = {"state": {"left": "select id from t"}, "database": "{scratch}/shop.db"}
    proof = {**DB, **state, "python": python}
    assert hooked.run(tmp_path / "whole", handler, **proof).outcome == "succeeded"
    once = lines(
        "c.isolation_level = None",
        "c.execute('insert into t values (1, 2) returning id').fetchone()",
    )
    dying = hooked.history(tmp_path / "dying", once, "kill@after:insert-t#1", **proof)
    assert [run.outcome for run in dying.runs] == ["died", "succeeded"]
    assert dying.state == {"left": [[1], [1]]}
