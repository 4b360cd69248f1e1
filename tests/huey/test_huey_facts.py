"""What the policy and the rules say of Huey, seen on Huey itself: real tasks on a memory or SQLite
storage.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

huey_api = pytest.importorskip("huey")


@pytest.fixture
def app() -> Any:
    return huey_api.MemoryHuey("facts")


def consume(app: Any, most: int = 8) -> list[float]:
    """Runs what is enqueued or scheduled, whenever it is due; the seconds that each message had to
    wait.
    """
    waits = []
    far = datetime.datetime(2999, 1, 1)
    for _ in range(most):
        task = app.dequeue() or next(iter(app.read_schedule(far)), None)
        if task is None:
            break
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
        waits.append(round((task.eta - now).total_seconds()) if task.eta else 0)
        app.execute(task, far)
    return waits


def failing(app: Any, error: Callable[[], BaseException], **options: Any) -> Any:
    @app.task(**options)
    def job() -> None:
        raise error()

    return job


def test_retries_3_is_four_runs_and_the_delay_is_multiplied_after_each(app: Any) -> None:
    failing(app, ValueError, retries=3, retry_delay=20, retry_backoff=3)()
    assert consume(app) == [0, 20, 60, 180]


def test_a_backoff_without_delay_waits_for_nothing(app: Any) -> None:
    failing(app, ValueError, retries=2, retry_backoff=3)()
    assert consume(app) == [0, 0, 0]


@pytest.mark.parametrize(
    ("error", "runs"),
    [
        (lambda: huey_api.CancelExecution(), 3),
        (lambda: huey_api.CancelExecution(retry=False), 1),
        (lambda: huey_api.CancelExecution(retry=True), 8),
        (lambda: huey_api.RetryTask(), 8),
    ],
)
def test_which_exceptions_use_up_a_retry(
    app: Any, error: Callable[[], BaseException], runs: int
) -> None:
    failing(app, error, retries=2)()
    assert len(consume(app)) == runs


def test_a_task_that_sets_retries_to_0_is_given_up(app: Any) -> None:
    @app.task(retries=2, context=True)
    def job(task: Any) -> None:
        task.retries = 0
        raise ValueError

    job()
    assert len(consume(app)) == 1


def test_the_error_signal_and_on_error_come_at_every_attempt(app: Any) -> None:
    heard = []
    app.signal("error")(lambda signal, task, exc: heard.append(task.retries))
    noted = app.task()(lambda exc: heard.append("on_error"))
    app.enqueue(failing(app, ValueError, retries=1).s().error(noted))
    consume(app)
    assert sorted(heard, key=str) == [0, 1, "on_error", "on_error"]


def test_a_job_that_finds_its_lock_taken_is_lost_without_retries(app: Any) -> None:
    ran = []
    job = app.task()(app.lock_task("x")(lambda: ran.append(1)))
    app.lock_task("x").acquire()
    job()
    assert (consume(app), ran) == ([0], [])


def test_a_ttl_is_refused_by_sqlite(tmp_path: Path) -> None:
    app = huey_api.SqliteHuey("facts", filename=str(tmp_path / "huey.db"))
    with pytest.raises(NotImplementedError):
        app.lock_task("x", ttl=5).acquire()


def test_words_that_huey_takes_for_itself(app: Any) -> None:
    seen = []
    job = app.task()(lambda **given: seen.append(given))
    job(
        eta=None,
        delay=None,
        retries=1,
        retry_delay=1,
        priority=1,
        expires=None,
        id="x",
        timeout=1,
        other=1,
    )
    consume(app)
    assert seen == [{"other": 1}]
