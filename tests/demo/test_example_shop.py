"""The bundled Celery shop is real: its own tests pass, and a real worker on a real broker survives
being killed.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import helpers
import pytest

from skillrun.core.resources import resource

T = TypeVar("T")
WORKER = (
    "-m celery -A shop worker --pool solo --without-gossip --without-mingle --without-heartbeat"
    " --loglevel INFO"
)
# Dies as by SIGKILL once the first mail has left and before the receipt is marked; the next worker
# finds the flag.
DIES_AFTER_THE_MAIL = """
import os, pathlib, signal
from shop import mailer
send, flag = mailer.send, pathlib.Path(os.environ["DIED"])
def send_and_die(order_id, email, *, idempotency_key):
    with open(os.environ["CALLS"], "a") as calls:
        calls.write(idempotency_key + "\\n")
    send(order_id, email, idempotency_key=idempotency_key)
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
mailer.send = send_and_die
from shop.celery import app
app.worker_main(["worker", "--pool", "solo", "--without-gossip", "--without-mingle", "--without-heartbeat"])
"""
# Every attempt kills the process that makes it, and the wait after that is left out.
KILLS_EVERY_CHILD = """
import os, signal
from shop import mailer, tasks
mailer.send = lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL)
tasks.send_receipt.default_retry_delay = 0
from shop.celery import app
app.conf.worker_lost_wait = 0.1
app.worker_main(["worker", "--concurrency", "1", "--without-gossip", "--without-mingle", "--without-heartbeat"])
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A copy of the example."""
    return shutil.copytree(
        resource("skills", "job-worker-orchestration", "examples", "celery-shop"), tmp_path / "shop"
    )


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A database, a folder broker and an outbox of this test's own."""
    queue = tmp_path / "queue"
    queue.mkdir()
    return helpers.clean_env(
        tmp_path / "home",
        PYTHONPATH="",
        SHOP_DB=str(tmp_path / "shop.db"),
        SHOP_QUEUE=str(queue),
        SHOP_OUTBOX=str(tmp_path / "outbox"),
    )


@pytest.fixture
def start(
    shop: Path, env: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts Python processes in the shop; none of them survives the test."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*args: str, **extra: str) -> subprocess.Popen[bytes]:
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *args], cwd=shop, env={**env, **extra}, stdout=log, stderr=log
            )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.real  # it makes an environment of its own
def test_its_own_tests_and_lint_pass(shop: Path, env: dict[str, str]) -> None:
    for target in ("lint", "test"):
        done = subprocess.run(
            ["make", target], cwd=shop, env=env, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.real
def test_a_real_worker_takes_a_settled_order_from_the_broker(
    start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    assert start("-m", "shop.schema").wait(30) == 0
    settle = "from shop.orders import settle; settle(7, 'a@example.com', request_id='web-42')"
    assert start("-c", settle).wait(30) == 0
    assert len(messages(tmp_path)) == 1
    start(*WORKER.split())
    assert wait_for(lambda: receipts(tmp_path)) == [(7, "a@example.com")]
    assert messages(tmp_path) == []
    assert [path.name for path in (tmp_path / "outbox").iterdir()] == ["receipt-7.json"]
    assert "order_id=7 correlation_id=web-42" in (tmp_path / "log").read_text()


@pytest.mark.real
def test_a_worker_killed_between_mail_and_mark_repeats_the_same_key(
    start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """The folder broker loses what a killed worker held, so the message is put back by hand, as
    Redis or AMQP would.
    """
    flags = {"DIED": str(tmp_path / "died"), "CALLS": str(tmp_path / "calls")}
    assert start("-m", "shop.schema").wait(30) == 0
    assert start("-c", "from shop.orders import settle; settle(7, 'a@example.com')").wait(30) == 0
    (message,) = messages(tmp_path)
    content = message.read_bytes()
    assert start("-c", DIES_AFTER_THE_MAIL, **flags).wait(30) == -9
    assert receipts(tmp_path) == []
    message.write_bytes(content)
    start("-c", DIES_AFTER_THE_MAIL, **flags)
    assert wait_for(lambda: receipts(tmp_path)) == [(7, "a@example.com")]
    assert (tmp_path / "calls").read_text().split() == ["receipt-7", "receipt-7"]
    assert len(list((tmp_path / "outbox").iterdir())) == 1


@pytest.mark.real
def test_a_message_that_kills_its_worker_is_dead_after_five_attempts(
    start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    assert start("-m", "shop.schema").wait(30) == 0
    assert start("-c", "from shop.orders import settle; settle(7, 'a@example.com')").wait(30) == 0
    start("-c", KILLS_EVERY_CHILD)
    dead = wait_for(
        lambda: rows(tmp_path, "select reason from dead_jobs where order_id = 7"), seconds=120
    )
    assert dead, (tmp_path / "log").read_text()[-3000:]
    (reason,) = dead[0]
    assert reason.startswith("WorkerLostError")
    assert (tmp_path / "log").read_text().count("send_receipt will retry order_id=7") == 4
    assert receipts(tmp_path) == []
    assert messages(tmp_path) == []


def test_the_steps_differ_from_the_shop_only_where_they_are_wrong() -> None:
    assert changed("1-idempotency-unknown", ".skillrun/jobs/send-receipt.yaml") == [
        "+idempotency: {strategy: unknown}",
        "-  dedupe: {store: table receipts, window: 7d}",
        "-  key: [order_id]",
        "-  strategy: keyed",
        "-idempotency:",
    ]
    assert changed("2-permanent-error-retried", "shop/tasks.py") == [
        "+    autoretry_for=(Exception,),",
        "-    # Only what may pass is tried again: a bad address stays bad.",
        "-    autoretry_for=(mailer.Unavailable, TimeoutError),",
    ]


@pytest.mark.real
def test_the_wrong_step_fails_the_shops_own_tests(shop: Path, env: dict[str, str]) -> None:
    shutil.copytree(steps() / "2-permanent-error-retried", shop, dirs_exist_ok=True)
    done = subprocess.run(
        ["make", "test"], cwd=shop, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode != 0
    assert "test_permanent_failure_is_not_retried" in done.stdout


def steps() -> Path:
    return resource("skills", "job-worker-orchestration", "examples", "celery-shop-steps")


def changed(step: str, path: str) -> list[str]:
    """The lines that a step adds and takes away, sorted."""
    right = (steps().parent / "celery-shop" / path).read_text().splitlines()
    wrong = (steps() / step / path).read_text().splitlines()
    added = [f"+{line}" for line in wrong if line not in right]
    return sorted([*added, *(f"-{line}" for line in right if line not in wrong)])


def messages(place: Path) -> list[Path]:
    return sorted((place / "queue").glob("*.celery.msg"))


def receipts(place: Path) -> list[tuple[Any, ...]]:
    return rows(place, "select order_id, email from receipts")


def rows(place: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(place / "shop.db")) as connection:
        return connection.execute(query).fetchall()


def wait_for(read: Callable[[], list[T]], seconds: float = 30) -> list[T]:
    deadline = time.monotonic() + seconds
    while not read() and time.monotonic() < deadline:
        time.sleep(0.02)
    return read()
