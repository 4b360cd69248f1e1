"""What a task of Django's really does: its policy, who enqueues it, what hears of it, and how it is
found.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import helpers
import pytest
from django_tasks_repo import FILES, Shop, open_shop

from skillrun.frameworks.django_tasks import FRAMEWORK as django_tasks
from skillrun.frameworks.interface import Backoff
from skillrun.frameworks.registry import recognisers
from skillrun.repo.survey import survey_tree
from skillrun.repo.tree import Tree

HEAD = """from datetime import timedelta
from django.db import transaction
from django.utils import timezone
from django_tasks import task
from shop import dead_jobs, mailer
N = 4
"""
NONE = Backoff("none")
ONCE = "send_receipt.enqueue(order_id, attempt=attempt + 1)"
GROWING = (
    "send_receipt.using(run_after=timezone.now() + timedelta(seconds={})).enqueue(order_id,"
    " attempt=attempt + 1)"
)


def handler(end: str, default: str = "=1", head: str = "@task()") -> str:
    inner = textwrap.indent(textwrap.dedent(end).strip("\n"), "        ")
    return (
        f"{HEAD}{head}\ndef send_receipt(order_id, attempt{default}):\n    try:\n       "
        f" mailer.send(order_id)\n    except TimeoutError as error:\n{inner}\n"
    )


def read(root: Path, text: str, **modules: str) -> Shop:
    return open_shop(root / "r", text, **modules)


@pytest.mark.parametrize(
    ("end", "attempts", "backoff"),
    [
        ("raise", 1, NONE),
        (f"if attempt >= N:\n    raise\n{ONCE}", 4, NONE),
        (f"if attempt < N:\n    {ONCE}\nelse:\n    raise", 4, NONE),
        (f"if attempt <= N:\n    {ONCE}", 5, NONE),
        (f"if attempt > N:\n    raise\n{GROWING.format('30')}", 5, Backoff("fixed", 30.0)),
        (
            f"if attempt >= N:\n    raise\n{GROWING.format('min(2 * 2 ** (attempt - 1), 60)')}",
            4,
            Backoff("exponential", 2.0, 2.0, 60.0),
        ),
        (
            f"if attempt >= N:\n    raise\nwait = 3 ** attempt\n{GROWING.format('wait')}",
            4,
            Backoff("exponential", 3, 3),
        ),
        (
            (
                "if attempt >= N:\n    raise\nwhen = timezone.now() + timedelta(minutes=2)\n"
                "later = send_receipt.using(run_after=when)\nlater.enqueue(order_id, attempt + 1)"
            ),
            4,
            Backoff("fixed", 120.0),
        ),
        ("send_receipt.enqueue(order_id)", None, NONE),
        (ONCE, None, NONE),
    ],
)
def test_enqueued_again(tmp_path: Path, end: str, attempts: int | None, backoff: Backoff) -> None:
    found = read(tmp_path, handler(end)).policy
    assert (found.max_attempts, found.backoff, dict(found.unknown)) == (attempts, backoff, {})
    assert found.retried == (() if attempts == 1 else ("builtins:TimeoutError",))
    assert (found.acks_late, found.serializer) == (False, "json")


def test_the_first_attempt_may_be_zero(tmp_path: Path) -> None:
    found = read(
        tmp_path, handler(f"if attempt < 3:\n    {GROWING.format('5 * 2 ** attempt')}", "=0")
    ).policy
    assert (found.max_attempts, found.backoff) == (4, Backoff("exponential", 5.0, 2.0))


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        handler(f"if attempt >= limit(order_id):\n    raise\n{GROWING.format('wait(error)')}"),
    ).policy
    assert set(found.unknown) == {"max_attempts", "backoff"}


def test_a_loop_within_the_run(tmp_path: Path) -> None:
    looped = f"""{HEAD}import time

@task()
def send_receipt(order_id):
    for attempt in range(4):
        try:
            mailer.send(order_id)
            break
        except TimeoutError as error:
            time.sleep(2 * 2 ** attempt)
"""
    found = read(tmp_path, looped).policy
    assert (found.max_attempts, found.backoff) == (4, Backoff("exponential", 2.0, 2.0))
    assert found.retried == ("builtins:TimeoutError",)


def test_a_loop_over_its_waits_is_named(tmp_path: Path) -> None:
    """How many attempts follow it cannot be told: they are not none."""
    looped = f"""{HEAD}import time

@task()
def send_receipt(order_id):
    for wait in (2, 4):
        try:
            return mailer.send(order_id)
        except TimeoutError:
            time.sleep(wait)
    mailer.send(order_id)
"""
    assert set(read(tmp_path, looped).policy.unknown) == {"max_attempts", "backoff", "retried"}


def test_a_decorator_of_its_own(tmp_path: Path) -> None:
    wrapped = f"""{HEAD}import functools

def again(function):
    @functools.wraps(function)
    def inner(context, order_id, attempt=1):
        try:
            function(order_id)
        except TimeoutError as error:
            if attempt >= N:
                dead_jobs.record(order_id, error)
                raise
            later = context.task_result.task.using(run_after=timezone.now() + timedelta(seconds=9))
            later.enqueue(order_id, attempt=attempt + 1)
    return inner

@task(takes_context=True)
@again
def send_receipt(order_id):
    mailer.send(order_id)
"""
    found = read(tmp_path, wrapped).policy
    assert (found.max_attempts, found.backoff, dict(found.unknown)) == (
        4,
        Backoff("fixed", 9.0),
        {},
    )
    assert found.dead_letter is not None


@pytest.mark.parametrize(
    ("end", "line"),
    [
        (
            f"if attempt >= N:\n    dead_jobs.record(order_id, error)\n    raise\n{ONCE}",
            "dead_jobs.record",
        ),
        (
            f"if attempt < N:\n    {ONCE}\n    return\ndead_jobs.record(order_id, error)",
            "dead_jobs.record",
        ),
        (f"if attempt >= N:\n    raise\n{ONCE}", None),
        ("dead_jobs.record(order_id, error)\nraise", "dead_jobs.record"),
        ("raise", None),
    ],
)
def test_records(tmp_path: Path, end: str, line: str | None) -> None:
    found = read(tmp_path, handler(end)).policy.dead_letter
    assert (found.text.strip().partition("(")[0] if found else None) == line


def test_a_receiver_keeps_what_failed(tmp_path: Path) -> None:
    heard = """
    from django.dispatch import receiver
    from django_tasks.signals import task_finished, task_started
    from shop import dead_jobs

    @receiver([task_finished])
    def keep(sender, task_result, **more):
        dead_jobs.record(task_result.id, "")

    def begun(sender, **more): ...
    task_started.connect(begun)
    """
    shop = read(tmp_path, handler("raise"), heard=heard)
    hooks = django_tasks.find_hooks(shop.project, shop.use, shop.handler)
    assert {event: hook.name for event, hook in hooks.items()} == {
        "failed": "keep",
        "started": "begun",
    }
    assert shop.policy.dead_letter is not None


REGISTERED = {
    "bare": (f"{HEAD}@task\ndef send_receipt(order_id): ...\n", True),
    "in core": (
        "from django.tasks import task\n@task(priority=1)\ndef send_receipt(order_id): ...\n",
        True,
    ),
    "a module": (
        "from django import tasks\n@tasks.task()\ndef send_receipt(order_id): ...\n",
        True,
    ),
    "a call": (f"{HEAD}def send(order_id): ...\nsend_receipt = task(priority=1)(send)\n", True),
    "another task": ("from celery import task\n@task()\ndef send_receipt(order_id): ...\n", False),
}


@pytest.mark.parametrize("name", REGISTERED)
def test_registrations(tmp_path: Path, name: str) -> None:
    text, is_task = REGISTERED[name]
    shop = read(tmp_path, text)
    assert (
        django_tasks.find_registration(shop.project, shop.use, shop.handler) is not None
    ) is is_task


WIRED = {
    "enqueue": ("send_receipt.enqueue(7)", ".enqueue(...)"),
    "using": ("send_receipt.using(priority=3).enqueue(7)", ".enqueue(...)"),
    "held": ("later = send_receipt.using(queue_name='default'); later.enqueue(7)", ".enqueue(...)"),
    "partial": ("transaction.on_commit(partial(send_receipt.enqueue, 7))", ".enqueue(...)"),
    "lambda": ("transaction.on_commit(lambda: send_receipt.enqueue(7))", ".enqueue(...)"),
    "coroutine": ("async_to_sync(send_receipt.aenqueue)(7)", ".aenqueue(...)"),
}


@pytest.mark.parametrize("name", WIRED)
def test_wiring(tmp_path: Path, name: str) -> None:
    call, how = WIRED[name]
    orders = (
        "from functools import partial\nfrom shop.tasks import send_receipt\ndef settle():\n   "
        f" {call}\n"
    )
    assert read(tmp_path, handler(f"if attempt < 3:\n    {ONCE}"), orders=orders).wiring == [
        ("enqueue", how)
    ]


def test_its_own_retries_are_no_wiring(tmp_path: Path) -> None:
    assert read(tmp_path, handler(f"if attempt < 3:\n    {ONCE}")).wiring == []


def test_a_command_in_a_crontab_is_its_schedule(tmp_path: Path) -> None:
    command = "shop/management/commands/settle.py"
    files = {
        command: (
            """
            from django.core.management.base import BaseCommand
            from shop.tasks import send_receipt
            class Command(BaseCommand):
                def handle(self, **options):
                    send_receipt.enqueue(7)
            """
        ),
        "crontab": "0 4 * * * python manage.py settle\n",
    }
    shop = open_shop(tmp_path / "r", handler("raise"), files=files)
    assert {kind for kind, _ in shop.wiring} == {"enqueue", "schedule"}


def test_it_is_recognised(tmp_path: Path) -> None:
    tree = Tree(
        helpers.build_tree(
            tmp_path / "repo", {name: textwrap.dedent(text) for name, text in FILES.items()}
        )
    )
    (use,) = survey_tree(tree, recognisers()).frameworks
    assert (use.id, use.app, use.task_modules) == (
        "django-tasks",
        "shop/settings.py:TASKS",
        ("shop/tasks.py",),
    )
    assert any("db_worker" in place.text for place in use.evidence)
