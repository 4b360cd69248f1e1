"""Redis through its clients, and the clients of stores that the proof cannot see into."""

from __future__ import annotations

from pathlib import Path

import hooked
import pytest

from skillrun.proof.services.find import find_redis_server

REDIS = {"services": ("redis",), "env": {"REDIS": "{redis}"}}
needs_redis = pytest.mark.skipif(find_redis_server() is None, reason="no Redis server here")


@needs_redis
@pytest.mark.real
def test_each_command_is_a_boundary_with_its_key(tmp_path: Path) -> None:
    delivery = hooked.run(
        tmp_path,
        """
        import os, redis
        def main(payload):
            client = redis.from_url(os.environ["REDIS"])
            client.set("seen:1", 1, nx=True)
            client.get(b"seen:1")
            client.eval("return 1", 1, "scripted")
            client.xread({"stream": 0})
            client.script_load("return 1")
        """,
        **REDIS,
    )
    found = [(e["name"], e["key"], e["write"]) for e in delivery.all("at") if e["when"] == "before"]
    assert found == [
        ("redis-set#1", "seen:1", True),
        ("redis-get#1", "seen:1", False),
        ("redis-eval#1", "scripted", True),
        ("redis-xread#1", "stream", False),
        ("redis-script-load#1", "", False),
    ]
    event = hooked.find(delivery, "redis-set#1")
    assert (event["kind"], event["verb"], event["store"], event.place) == (
        "redis",
        "set",
        "redis",
        ("jobs.py", 4),
    )


@pytest.mark.real
@needs_redis
def test_a_pipeline_is_one_boundary(tmp_path: Path) -> None:
    delivery = hooked.run(
        tmp_path,
        """
        import os, redis
        def main(payload):
            client = redis.from_url(os.environ["REDIS"])
            add = client.register_script("return redis.call('incr', KEYS[1])")
            with client.pipeline() as pipe:
                pipe.get("a")
                pipe.set("b", 1)
                add(keys=["c"], client=pipe)
                pipe.execute()
                pipe.execute()
            with client.pipeline(transaction=False) as pipe:
                pipe.get("a")
                pipe.execute()
                pipe.watch("a")
                pipe.get("a")
                pipe.multi()
                pipe.set("a", 2)
                pipe.execute()
        """,
        **REDIS,
    )
    assert hooked.after(delivery) == [
        "redis-exec#1",
        "redis-pipeline#1",
        "redis-watch#1",
        "redis-get#1",
        "redis-exec#2",
    ]
    first = hooked.find(delivery, "redis-exec#1")
    assert (first["commands"], first["key"], first["write"]) == (
        ["get a", "set b", "evalsha c"],
        "a",
        True,
    )
    assert not hooked.find(delivery, "redis-pipeline#1")["write"]


@needs_redis
@pytest.mark.real
def test_locks_and_scripts_are_the_same_however_warm_the_server_is(tmp_path: Path) -> None:
    """A script that the server does not know yet is loaded inside of its own boundary."""
    code = """
        import os, redis
        def main(payload):
            client = redis.from_url(os.environ["REDIS"])
            with client.lock("lock:1", timeout=30):
                client.register_script("return 1")(keys=["k"])
        """
    with hooked.explorer(tmp_path, {"jobs.py": code}, **REDIS) as made:
        runs = [made.run(hooked.parse_schedule("once")).runs[0] for _ in range(2)]
    for delivery in runs:
        assert hooked.after(delivery) == ["redis-set#1", "redis-evalsha#1", "redis-evalsha#2"]
        assert [hooked.find(delivery, f"redis-evalsha#{n}")["key"] for n in (1, 2)] == [
            "k",
            "lock:1",
        ]


@needs_redis
@pytest.mark.real
def test_asyncio_commands_at_once_are_all_seen(tmp_path: Path) -> None:
    delivery = hooked.run(
        tmp_path,
        """
        import asyncio, os
        async def main(payload):
            import redis.asyncio as late
            client = late.from_url(os.environ["REDIS"])
            await asyncio.gather(client.set("a", 1), client.set("b", 1))
            async with client.pipeline() as pipe:
                await pipe.set("c", 1).execute()
            async with client.lock("lock:1", timeout=30):
                pass
            await client.aclose()
        """,
        **REDIS,
    )
    together, rest = hooked.after(delivery)[:2], hooked.after(delivery)[2:]
    assert sorted(together) == ["redis-set#1", "redis-set#2"]  # whichever answer came first
    assert rest == ["redis-exec#1", "redis-set#3", "redis-evalsha#1"]


@needs_redis
@pytest.mark.real
def test_a_kill_after_a_command_leaves_what_it_wrote(tmp_path: Path) -> None:
    code = """
        import os, redis
        def main(payload):
            client = redis.from_url(os.environ["REDIS"])
            if client.set("seen", 1, nx=True):
                client.incr("done")
        """
    with hooked.explorer(tmp_path, {"jobs.py": code}, **REDIS) as made:
        history = made.run(hooked.parse_schedule("kill@after:redis-set#1"))
    first, second = history.runs
    assert first.died and hooked.after(first) == ["redis-set#1"]
    assert hooked.after(second) == ["redis-set#1"]  # it found the key


@needs_redis
@pytest.mark.real
def test_what_is_not_the_handlers_is_silent_and_the_proofs_server_is_no_network(
    tmp_path: Path,
) -> None:
    delivery = hooked.run(
        tmp_path,
        """
        import os, redis
        client = redis.from_url(os.environ["REDIS"])
        client.set("at import", 1)
        def main(payload):
            client.get("a")
        """,
        **REDIS,
    )
    assert hooked.after(delivery) == ["redis-get#1"]
    assert not list(delivery.all("undeclared"))


def test_another_redis_is_network(tmp_path: Path) -> None:
    delivery = hooked.run(
        tmp_path,
        """
        import redis
        def main(payload):
            try:
                redis.Redis(host="127.0.0.1", port=1).set("a", 1)
            except redis.ConnectionError:
                pass
        """,
    )
    assert [e["kind"] for e in delivery.all("undeclared")][:1] == ["network"]


@pytest.mark.parametrize("when", ["import pymysql", "pass"])
@pytest.mark.real
def test_a_driver_that_cannot_be_seen_into_is_said_once(tmp_path: Path, when: str) -> None:
    pytest.importorskip("pymysql")
    delivery = hooked.run(
        tmp_path,
        f"""
        {when}
        def main(payload):
            import pymysql
            for _ in range(2):
                try:
                    pymysql.connect(host="127.0.0.1", port=1)
                except pymysql.OperationalError:
                    pass
        """,
    )
    stores = [(e["detail"], e.place) for e in delivery.all("undeclared") if e["kind"] == "store"]
    assert stores == [("MySQL (pymysql)", ("jobs.py", 6))]


@pytest.mark.real
def test_drivers_of_c_are_said_too(tmp_path: Path) -> None:
    """A function and a class without any Python in them, under the names of real drivers."""
    files = {
        "pyodbc.py": "from _sqlite3 import complete_statement as connect\n",
        "apsw.py": "from collections import deque as Connection\n",
        "jobs.py": """
            import apsw, pyodbc
            held = apsw.Connection()
            def main(payload):
                pyodbc.connect("select 1")
                held.append(1)
                assert isinstance(held, apsw.Connection)
            """,
    }
    with hooked.explorer(tmp_path, files) as made:
        delivery = made.run(hooked.parse_schedule("once")).runs[0]
    assert delivery.first("returned")
    assert [e["detail"] for e in delivery.all("undeclared")] == ["ODBC (pyodbc)", "SQLite (apsw)"]


@pytest.mark.real
def test_a_connection_that_an_unseen_driver_opened_at_import_is_said(tmp_path: Path) -> None:
    files = {
        "duckdb.py": "from _sqlite3 import complete_statement as connect\n",
        "jobs.py": "import duckdb\nheld = duckdb.connect('x')\ndef main(payload): pass\n",
    }
    with hooked.explorer(tmp_path, files) as made:
        delivery = made.run(hooked.parse_schedule("once")).runs[0]
    assert [e["detail"] for e in delivery.all("undeclared")] == ["DuckDB, opened at import"]


@pytest.mark.real
def test_a_driver_that_is_only_imported_is_not_said(tmp_path: Path) -> None:
    pytest.importorskip("pymysql")
    delivery = hooked.run(
        tmp_path, "import pymysql, asyncpg, psycopg, psycopg2\ndef main(payload): pass\n"
    )
    assert not list(delivery.all("undeclared"))


@pytest.mark.real
def test_a_module_is_hooked_though_somebody_only_asked_for_it_before(tmp_path: Path) -> None:
    files = {
        "duckdb.py": "from _sqlite3 import complete_statement as connect\n",
        "jobs.py": """
            import importlib.util
            assert importlib.util.find_spec("duckdb")
            def main(payload):
                import duckdb
                duckdb.connect("x")
            """,
    }
    with hooked.explorer(tmp_path, files) as made:
        delivery = made.run(hooked.parse_schedule("once")).runs[0]
    assert [e["detail"] for e in delivery.all("undeclared")] == ["DuckDB"]


@pytest.mark.real
def test_a_late_import_of_libpq_is_no_process_of_the_handlers(tmp_path: Path) -> None:
    delivery = hooked.run(tmp_path, "def main(payload):\n    import psycopg\n")
    assert not list(delivery.all("undeclared"))
