"""A server refuses a commit or a statement: what it held for the transaction, others may have."""

from __future__ import annotations

from pathlib import Path

import hooked
import pytest

from skillrun.proof.services.find import find_postgres

PG = {"services": ("postgresql",), "env": {"PG": "{postgresql}"}}
SYNC = """
    import os, {driver}

    def write():
        connection = {driver}.connect(os.environ["PG"])
        cursor = connection.cursor()
        cursor.execute("set lock_timeout = '1s'")
        cursor.execute("update t set v = v + 1")
        return connection

    def main(payload):
        connection = {driver}.connect(os.environ["PG"])
        connection.cursor().execute("create table t (v int); insert into t values (1)")
        connection.commit()
        kept = write()
        try:
            kept.commit()
        except {driver}.Error:
            print("refused")
        # Nobody has closed or rolled back the first one.
        write().commit()
        print("written")
"""
ASYNC = """
    import asyncio, os, asyncpg

    async def write():
        connection = await asyncpg.connect(os.environ["PG"])
        await connection.execute("set lock_timeout = '1s'; begin")
        await connection.execute("update t set v = v + 1")
        return connection

    async def work():
        first = await asyncpg.connect(os.environ["PG"])
        await first.execute("create table t (v int); insert into t values (1)")
        kept = await write()
        try:
            await kept.execute("commit")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            print("refused")
        await (await write()).execute("commit")
        print("written")

    def main(payload):
        asyncio.run(work())
"""
GOES_ON = """
    import os, {driver}

    def main(payload):
        cursor = {driver}.connect(os.environ["PG"]).cursor()
        cursor.execute("create table t (v int)")
        for number in range(2):
            try:
                cursor.execute("update t set v = 2")
                print("taken")
            except {driver}.Error:
                print("refused")
        cursor.connection.rollback()
        cursor.execute("create table t (v int)")
        print("taken")
"""


@pytest.mark.real
@pytest.mark.skipif(find_postgres() is None, reason="no PostgreSQL server here")
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg"])
def test_a_refused_commit_holds_no_lock(tmp_path: Path, driver: str) -> None:
    pytest.importorskip(driver)
    code = ASYNC if driver == "asyncpg" else SYNC.format(driver=driver)
    at = "fail@before:commit#1" if driver == "asyncpg" else "fail@before:commit#2"
    (delivery,) = hooked.history(tmp_path, code, at, **PG).runs
    assert [event["text"] for event in delivery.all("log")] == ["refused", "written"]


BLOCKS = """
    import os, psycopg

    def main(payload):
        connection = psycopg.connect(os.environ["PG"], autocommit=True)
        for number in range(2):
            try:
                with connection.transaction():
                    connection.execute("create table if not exists t (v int)")
                print("taken")
            except psycopg.Error:
                print("refused")
"""


@pytest.mark.real
@pytest.mark.skipif(find_postgres() is None, reason="no PostgreSQL server here")
def test_a_block_whose_commit_is_refused_is_over(tmp_path: Path) -> None:
    (delivery,) = hooked.history(tmp_path, BLOCKS, "fail@before:commit#1", **PG).runs
    assert [event["text"] for event in delivery.all("log")] == ["refused", "taken"]


@pytest.mark.real
@pytest.mark.skipif(find_postgres() is None, reason="no PostgreSQL server here")
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_after_a_refused_statement_the_transaction_takes_no_other(
    tmp_path: Path, driver: str
) -> None:
    pytest.importorskip(driver)
    at = "fail@before:update-t#1"
    (delivery,) = hooked.history(tmp_path, GOES_ON.format(driver=driver), at, **PG).runs
    assert [event["text"] for event in delivery.all("log")] == ["refused", "refused", "taken"]
