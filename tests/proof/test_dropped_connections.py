"""A server closes a connection that a worker keeps: what the worker does from then on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import hooked
import pytest
from histories import ACKED, DONE, fault, history, raised, reference, retry

from skillrun.core.verdict import RiskGrade
from skillrun.proof.history import History
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.schedule import family_of, parse_schedule
from skillrun.proof.services.find import find_postgres

DROP = "drop@before:commit#1 same-process job=1"
MET = [fault("drop", "before:commit#1"), raised(), retry(), ACKED]
FAILED = [raised(injected=False), retry(), ACKED]


def told(seen: History, apart: History) -> list[tuple[str, RiskGrade | None]]:
    judged = replace(reference(), apart=apart)
    return [(one.rule, one.grade) for one in judge_history(seen, judged)]


def test_its_text_is_read_again() -> None:
    made = parse_schedule(DROP)
    assert str(made) == DROP
    assert family_of(made) == "store-dropped"


def test_a_worker_that_opens_a_new_one_does_its_jobs() -> None:
    assert told(history(DROP, MET, DONE), history(DROP, MET, DONE)) == []


def test_a_worker_that_keeps_it_does_none() -> None:
    apart = history(DROP, MET, DONE)
    waits = history(DROP, MET, FAILED, FAILED, state=[[0]])
    assert told(waits, apart) == [("connection-kept", RiskGrade.STUCK)]
    gone = history(DROP, MET, FAILED, FAILED)
    assert told(gone, apart) == [("connection-kept", RiskGrade.LOST)]


def test_what_fails_in_a_new_worker_too_is_no_matter_of_the_connection() -> None:
    assert told(history(DROP, MET, FAILED), history(DROP, MET, FAILED)) == []


def test_a_connection_that_was_never_met_says_nothing() -> None:
    never = history(DROP, FAILED)
    assert told(never, history(DROP, DONE)) == []


# -- a real server closes a real connection

PG = {"services": ("postgresql",), "env": {"PG": "{postgresql}"}}
SYNC = """
    import os, {driver}

    def write(connection):
        cursor = connection.cursor()
        cursor.execute("create table if not exists t (v text)")
        connection.commit()

    def main(payload):
        kept = {driver}.connect(os.environ["PG"])
        for connection in (kept, kept, {driver}.connect(os.environ["PG"])):
            try:
                write(connection)
                print("written")
            except {driver}.Error:
                print("failed")
"""
ASYNC = """
    import asyncio, os, asyncpg

    async def work():
        kept = await asyncpg.connect(os.environ["PG"])
        for connection in (kept, kept, await asyncpg.connect(os.environ["PG"])):
            try:
                async with connection.transaction():
                    await connection.execute("create table if not exists t (v text)")
                print("written")
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                print("failed")

    def main(payload):
        asyncio.run(work())
"""


@pytest.mark.real
@pytest.mark.skipif(find_postgres() is None, reason="no PostgreSQL server here")
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg"])
def test_it_is_of_no_use_any_more(tmp_path: Path, driver: str) -> None:
    pytest.importorskip(driver)
    code = ASYNC if driver == "asyncpg" else SYNC.format(driver=driver)
    (delivery,) = hooked.history(tmp_path, code, "drop@before:commit#1", **PG).runs
    printed = [event["text"] for event in delivery.all("log")]
    # It goes on failing; a new one is as good as ever.
    assert printed == ["failed", "failed", "written"]
