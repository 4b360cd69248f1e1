"""Servers of these tests, and clients of theirs."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
import redis

from skillrun.proof.services.find import find_postgres, find_redis_server
from skillrun.proof.services.postgres import PostgresServer
from skillrun.proof.services.redis import RedisServer

IN_CI = bool(os.environ.get("CI"))  # before conftest hides it


def need(found: Path | None, name: str) -> Path:
    """Without the binary these tests say nothing: that must not look like a pass in CI."""
    if found is None:
        (pytest.fail if IN_CI else pytest.skip)(f"no {name} here")
    return found


def short_folder() -> Path:
    """A folder with a short path that every user may enter: pytest's own are long, and closed to
    others.
    """
    folder = Path(mkdtemp(prefix="sk-", dir="/tmp"))
    folder.chmod(0o755)
    return folder


@pytest.fixture
def short() -> Iterator[Path]:
    folder = short_folder()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def one_redis() -> Iterator[RedisServer]:
    need(find_redis_server(), "redis-server")
    folder = short_folder()
    with RedisServer(folder) as server:
        yield server
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def server(one_redis: RedisServer) -> RedisServer:
    """An empty Redis whose snapshot is the empty one."""
    client(one_redis).flushall()
    one_redis.snapshot()
    return one_redis


@pytest.fixture(scope="module")
def one_postgres() -> Iterator[PostgresServer]:
    need(find_postgres(), "postgres")
    folder = short_folder()
    with PostgresServer(folder) as server:
        yield server
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres(one_postgres: PostgresServer) -> PostgresServer:
    """A PostgreSQL with the table `jobs`, which has one row; so is its snapshot."""
    one_postgres.query("DROP TABLE IF EXISTS jobs; DROP TABLE IF EXISTS later")
    one_postgres.query("ALTER DATABASE app RESET ALL")
    one_postgres.query(
        "CREATE TABLE jobs (id serial PRIMARY KEY, name text); INSERT INTO jobs (name) VALUES"
        " ('first')"
    )
    one_postgres.snapshot()
    return one_postgres


def client(server: RedisServer, database: int = 0) -> redis.Redis:
    return redis.Redis.from_url(server.url.replace("db=0", f"db={database}"))


def soon(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not (held := condition()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return held


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


# Where the binaries are
