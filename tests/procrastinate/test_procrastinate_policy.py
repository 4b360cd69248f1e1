"""What a Procrastinate task really does: its policy, who defers it, who gives it back after a
death.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from procrastinate_repo import FILES, STALLED, TASKS, open_shop

from skillrun.frameworks.interface import Backoff
from skillrun.frameworks.procrastinate.recovery import find_recoveries
from skillrun.frameworks.registry import RECOGNISED_ONLY, recognisers
from skillrun.repo.survey import survey_tree
from skillrun.repo.tree import Tree

HEAD = (
    "from procrastinate import RetryStrategy\nfrom procrastinate.retry import BaseRetryStrategy,"
    " RetryDecision\nfrom shop import dead_jobs, mailer\nfrom shop.queue import app\nN = 3\n"
)
NONE = Backoff("none")


def task(options: str, body: str = "mailer.send(order_id)", head: str = "") -> str:
    inner = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    return (
        f"{HEAD}{head}\n@app.task({options})\ndef send_receipt(context, order_id,"
        f" email=''):\n{inner}\n"
    )


def clause(end: str) -> str:
    return "try:\n    mailer.send(order_id)\nexcept TimeoutError as error:\n" + textwrap.indent(
        end, "    "
    )


@pytest.mark.parametrize(
    ("options", "attempts", "backoff"),
    [
        ("", 1, NONE),
        ("retry=False", 1, NONE),
        ("retry=0", 1, NONE),
        ("retry=True", None, NONE),
        ("retry=3", 4, NONE),
        ("retry=N", 4, NONE),
        ("retry=RetryStrategy(max_attempts=0)", None, NONE),
        ("retry=RetryStrategy(wait=30)", None, Backoff("fixed", 30.0)),
        ("retry=RetryStrategy(max_attempts=N, wait=30)", 4, Backoff("fixed", 30.0)),
        (
            "retry=RetryStrategy(max_attempts=3, exponential_wait=5)",
            4,
            Backoff("exponential", 5.0, 5.0),
        ),
        (
            "retry=RetryStrategy(max_attempts=3, exponential_wait=1, wait=9)",
            4,
            Backoff("fixed", 10.0),
        ),
        (
            "retry=RetryStrategy(max_attempts=3, linear_wait=4)",
            4,
            Backoff("exponential", 0.0, 1.0, waits=(0.0, 4.0, 8.0)),
        ),
    ],
)
def test_strategies(tmp_path: Path, options: str, attempts: int | None, backoff: Backoff) -> None:
    found = open_shop(tmp_path / "r", task(options)).policy
    assert (found.max_attempts, found.backoff, dict(found.unknown)) == (attempts, backoff, {})
    assert found.retried == (() if attempts == 1 else ("builtins:Exception",))


@pytest.mark.parametrize(
    ("end", "attempts"),
    [
        ("raise", None),
        ("if context.job.attempts >= 4:\n    return\nraise", 5),
        ("if context.job.attempts < N:\n    raise", 4),
        ("tried = context.job.attempts + 1\nif tried >= 3:\n    return\nraise", 3),
    ],
)
def test_a_handler_that_bounds_itself(tmp_path: Path, end: str, attempts: int | None) -> None:
    found = open_shop(tmp_path / "r", task("retry=True, pass_context=True", clause(end))).policy
    assert (found.max_attempts, dict(found.unknown)) == (attempts, {})


def test_only_named_exceptions_are_retried(tmp_path: Path) -> None:
    options = (
        "retry=RetryStrategy(max_attempts=2, retry_exceptions={TimeoutError, mailer.Unavailable})"
    )
    found = open_shop(tmp_path / "r", task(options)).policy
    assert found.retried == ("builtins:TimeoutError", "shop.mailer:Unavailable")


OWN = """
class Own(BaseRetryStrategy):
    def get_retry_decision(self, *, exception, job):
        if job.attempts >= 3:
            dead_jobs.record(job.task_kwargs, exception)
            return None
        return RetryDecision(retry_in={"seconds": 5})
"""


def test_a_strategy_of_its_own_is_left_to_the_proof(tmp_path: Path) -> None:
    found = open_shop(tmp_path / "r", task("retry=Own()", head=OWN)).policy
    assert set(found.unknown) == {"max_attempts", "backoff", "retried"}
    assert found.dead_letter is not None and "dead_jobs.record" in found.dead_letter.text


@pytest.mark.parametrize(
    ("tasks", "found"),
    [
        (TASKS, True),
        (task("retry=3", clause("dead_jobs.record(order_id, error)\nraise")), False),
        (task("", clause("dead_jobs.record(order_id, error)\nraise")), True),
        (task("retry=3"), False),
    ],
)
def test_dead_letters(tmp_path: Path, tasks: str, found: bool) -> None:
    assert (open_shop(tmp_path / "r", tasks).policy.dead_letter is not None) == found


CALLED = """
from procrastinate import RetryStrategy
from shop.queue import app
def _send(order_id): ...
send_receipt = app.task(retry=2)(_send)
"""
BLUEPRINT = """
from procrastinate import Blueprint
jobs = Blueprint()
@jobs.task(retry=2)
def send_receipt(order_id): ...
"""
DJANGO = """
from procrastinate.contrib.django import app
@app.task(retry=2)
def send_receipt(order_id): ...
"""


@pytest.mark.parametrize(
    "tasks", [CALLED, BLUEPRINT, DJANGO], ids=["called", "blueprint", "django"]
)
def test_registered_in_other_ways(tmp_path: Path, tasks: str) -> None:
    from skillrun.frameworks.procrastinate import FRAMEWORK as procrastinate

    shop = open_shop(tmp_path / "r", tasks)
    assert procrastinate.find_registration(shop.project, shop.use, shop.handler) is not None
    assert shop.policy.max_attempts == 3


@pytest.mark.parametrize(
    ("call", "wired"),
    [
        ("send_receipt.defer(order_id=1)", [("enqueue", ".defer(...)")]),
        ("await send_receipt.defer_async(order_id=1)", [("enqueue", ".defer_async(...)")]),
        ("send_receipt.configure(lock='x').defer(order_id=1)", [("enqueue", ".defer(...)")]),
        (
            "job = send_receipt.configure(lock='x')\n    job.defer(order_id=1)",
            [("enqueue", ".defer(...)")],
        ),
        ("send_receipt.batch_defer({'order_id': 1})", [("enqueue", ".batch_defer(...)")]),
        (
            "app.configure_task('shop.tasks.send_receipt').defer(order_id=1)",
            [("enqueue", ".defer(...)")],
        ),
        ("app.configure_task('shop.tasks.another').defer(order_id=1)", []),
        ("send_receipt(None, 1)", []),
    ],
)
def test_wiring(tmp_path: Path, call: str, wired: list[tuple[str, str]]) -> None:
    orders = (
        "from shop.queue import app\nfrom shop.tasks import send_receipt\n\nasync def settle():\n "
        f"   {call}\n"
    )
    assert open_shop(tmp_path / "r", task(""), orders=orders).wiring == wired


def test_a_periodic_task_is_scheduled(tmp_path: Path) -> None:
    text = task("").replace("@app.task", "@app.periodic(cron='0 4 * * *')\n@app.task")
    assert open_shop(tmp_path / "r", text).wiring == [("schedule", "periodic(...)")]


def test_who_gives_back_stalled_jobs(tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "r", task(""))
    (recovery,) = find_recoveries(shop.project, shop.use)
    assert (recovery.periodic, recovery.wait_s, recovery.asks_attempts, recovery.by_age) == (
        True,
        630.0,
        True,
        None,
    )
    assert (shop.policy.reject_on_worker_lost, shop.policy.visibility_timeout_s) == (True, 630.0)


@pytest.mark.parametrize(
    ("cron", "wait"),
    [
        ("* * * * *", 90.0),
        ("0 * * * *", 3630.0),
        ("5,35 * * * *", 3630.0),
        ("0 */2 * * *", 7230.0),
        ("0 4 * * *", 86430.0),
    ],
)
def test_how_long_that_takes(tmp_path: Path, cron: str, wait: float) -> None:
    shop = open_shop(tmp_path / "r", task(""), stalled=STALLED.replace("*/10 * * * *", cron))
    assert shop.policy.visibility_timeout_s == wait


def test_who_gives_them_back_without_asking_for_stalled_ones(tmp_path: Path) -> None:
    listed = STALLED.replace("get_stalled_jobs()", "list_jobs_async(status='doing')")
    shop = open_shop(tmp_path / "r", task(""), stalled=listed)
    (recovery,) = find_recoveries(shop.project, shop.use)
    assert (recovery.periodic, recovery.wait_s, recovery.by_age) == (True, 630.0, None)


def test_nobody_does(tmp_path: Path) -> None:
    policy = open_shop(tmp_path / "r", task(""), stalled="").policy
    assert (policy.reject_on_worker_lost, policy.visibility_timeout_s, policy.acks_late) == (
        False,
        None,
        True,
    )


def test_recognised(tmp_path: Path) -> None:
    import helpers

    use = next(
        u for u in survey_tree(Tree(helpers.build_tree(tmp_path, FILES)), recognisers()).frameworks
    )
    assert (use.id, use.app, use.broker) == ("procrastinate", "shop/queue.py:app", "postgres")
    assert (use.scheduler, use.task_modules) == (
        "procrastinate periodic",
        ("shop/stalled.py", "shop/tasks.py"),
    )
    assert "procrastinate" not in RECOGNISED_ONLY
