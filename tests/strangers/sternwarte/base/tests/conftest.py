import os
import pwd
import shutil
import socket
import subprocess
import time

import fakeredis
import psycopg
import pytest

from sternwarte import config, desk, schema
from sternwarte.network import TelescopeNetwork


@pytest.fixture(scope="session")
def dsn(tmp_path_factory):
    """A server of STERNWARTE_TEST_DSN, or one of our own for as long as the tests run."""
    if given := os.environ.get("STERNWARTE_TEST_DSN"):
        yield given
        return
    initdb, postgres = shutil.which("initdb"), shutil.which("postgres")
    if not (initdb and postgres):
        pytest.skip("no PostgreSQL here")
    home = tmp_path_factory.mktemp("pg")
    run = {}
    if os.getuid() == 0:  # postgres does not run as root
        user = pwd.getpwnam("postgres" if any(p.pw_name == "postgres" for p in pwd.getpwall()) else "nobody")
        for folder in (home, home.parent, home.parent.parent):
            os.chmod(folder, 0o755)
        os.chown(home, user.pw_uid, user.pw_gid)
        run = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    data = home / "data"
    subprocess.run([initdb, "-D", data, "-U", "test", "-A", "trust", "-N"], check=True,
                   capture_output=True, cwd=home, **run)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server = subprocess.Popen(
        [postgres, "-D", data, "-p", str(port), "-k", home, "-h", "127.0.0.1", "-F"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=home, **run,
    )
    url = f"postgresql://test@127.0.0.1:{port}/postgres"
    try:
        for _ in range(100):
            try:
                psycopg.connect(url).close()
                break
            except psycopg.OperationalError:
                time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(autouse=True)
def database(dsn, monkeypatch):
    monkeypatch.setattr(config, "DSN", dsn)
    with psycopg.connect(dsn) as conn:
        conn.execute("drop table if exists inbox, dead_letters, bookings")
    schema.create(seed=True)


@pytest.fixture
def rows(dsn):
    def query(sql, *params):
        with psycopg.connect(dsn) as conn:
            cursor = conn.execute(sql, params)
            return cursor.fetchall() if cursor.description else None
    return query


@pytest.fixture
def redis(monkeypatch):
    server = fakeredis.FakeStrictRedis()
    monkeypatch.setattr(desk.Redis, "from_url", lambda url: server)
    return server


@pytest.fixture
def network(monkeypatch):
    """The partner: calls are noted; `answers` are given in turn, then numbers."""
    class Partner:
        calls, answers = [], []
    partner = Partner()
    partner.calls, partner.answers = [], []

    def reserve(self, reservation_id, telescope, night, slot):
        partner.calls.append((reservation_id, telescope, night, slot))
        answer = partner.answers.pop(0) if partner.answers else f"TN-{reservation_id}"
        if callable(answer):
            answer = answer()
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(TelescopeNetwork, "reserve", reserve)
    return partner
