import os
import shutil
import subprocess
import tempfile

import psycopg
import pytest


class Server:
    """A PostgreSQL for one test run, on a socket of its own."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="pfandhaus-pg-")
        self.account = "nobody" if os.getuid() == 0 else None
        if self.account:
            shutil.chown(self.folder, self.account)
        self.data = os.path.join(self.folder, "data")
        self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c fsync=off"
        self.run("pg_ctl", "-D", self.data, "-w", "-l", os.path.join(self.folder, "log"), "-o", options, "start")
        self.dsn = f"host={self.folder} user=postgres dbname=postgres"

    def run(self, *command):
        subprocess.run(command, check=True, user=self.account, stdout=subprocess.DEVNULL, cwd=self.folder)

    def close(self):
        self.run("pg_ctl", "-D", self.data, "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)


server = None
if "PFANDHAUS_DSN" not in os.environ and shutil.which("initdb") and shutil.which("pg_ctl"):
    server = Server()
    os.environ["PFANDHAUS_DSN"] = server.dsn


def pytest_unconfigure():
    if server:
        server.close()


@pytest.fixture
def db():
    if "PFANDHAUS_DSN" not in os.environ:
        pytest.skip("no PostgreSQL here, and no PFANDHAUS_DSN")
    from pfandhaus import db, settings

    db.create()
    with psycopg.connect(settings.DSN, autocommit=True) as conn:
        conn.execute("truncate loans, ledger, dead_letters, procrastinate_jobs restart identity cascade")
        db.demo()
        yield conn


class FakeBank:
    def __init__(self):
        self.paid, self.asked, self.trouble = {}, [], []

    def transfer(self, transfer, *, end_to_end_id):
        self.asked.append(end_to_end_id)
        if self.trouble:
            raise self.trouble.pop(0)
        self.paid.setdefault(end_to_end_id, transfer.amount_cents)
        return f"BK-{len(self.paid)}"


@pytest.fixture
def bank(monkeypatch):
    from pfandhaus.bank import BankClient

    fake = FakeBank()
    monkeypatch.setattr(BankClient, "transfer", lambda self, *a, **k: fake.transfer(*a, **k))
    return fake


@pytest.fixture
def work(db):
    from pfandhaus.queue import app

    def work():
        """Runs what waits, however long it should have waited."""
        db.execute("update procrastinate_jobs set scheduled_at = null where status = 'todo'")
        app.run_worker(queues=["payouts"], wait=False, listen_notify=False, install_signal_handlers=False)

    return work
