"""What a Django Q2 job really does: its policy, who queues it, what hears of it, and where Django
Q2 is used.
"""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import helpers
import pytest
from django_q2_repo import FILES, open_shop

from skillrun.frameworks.django_q2 import FRAMEWORK as django_q2
from skillrun.frameworks.interface import (
    Backoff,
)
from skillrun.frameworks.registry import RECOGNISED_ONLY, recognisers
from skillrun.repo.survey import survey_tree
from skillrun.repo.tree import Tree
from skillrun.repo.uses import FrameworkUse

HEAD = (
    "from datetime import timedelta\nfrom django.utils import timezone\n"
    "from django_q.tasks import async_task, schedule\nfrom shop import dead_jobs, mailer\nN = 4\n"
)
NONE = Backoff("none")
FIXED = Backoff("fixed", 90.0)
ORM = "'orm': 'default', 'retry': 90, 'timeout': 60"
SETTLE = (
    "from django_q.tasks import async_task\ndef settle():\n   "
    " async_task('shop.tasks.send_receipt', 7{})\n"
)
NOW = "next_run=timezone.now() + timedelta(seconds="


def handler(end: str, parameters: str = "order_id") -> str:
    inner = textwrap.indent(textwrap.dedent(end).strip("\n"), "        ")
    return (
        f"{HEAD}def send_receipt({parameters}):\n    try:\n        mailer.send(order_id)\n"
        f"    except TimeoutError as error:\n{inner}\n"
    )


@pytest.mark.parametrize(
    ("cluster", "options", "attempts", "backoff"),
    [
        (f"{{{ORM}, 'max_attempts': 5}}", "", 5, FIXED),
        (f"{{{ORM}}}", "", None, FIXED),
        (f"{{{ORM}, 'max_attempts': 1}}", "", 1, NONE),
        (f"{{{ORM}, 'max_attempts': 5, 'ack_failures': True}}", "", 1, NONE),
        (f"{{{ORM}, 'max_attempts': 5, 'ack_failures': True}}", ", ack_failure=False", 5, FIXED),
        (f"{{{ORM}, 'max_attempts': 5}}", ", ack_failure=True", 1, NONE),
        (f"{{{ORM}, 'max_attempts': 5}}", ", q_options={'ack_failure': True}", 1, NONE),
        (f"{{{ORM}, 'max_attempts': 5}}", ", cached=True", None, FIXED),
        ("{'orm': 'default', 'max_attempts': 2}", "", 2, Backoff("fixed", 60.0)),
        ("{'redis': {'host': 'localhost'}, 'max_attempts': 5}", "", 1, NONE),
        ("{'name': 'shop'}", "", 1, NONE),
        (f"{{**BASE, 'max_attempts': 3}}\nBASE = {{{ORM}}}", "", 3, FIXED),
        ("dict(orm='default', retry=90, timeout=60, max_attempts=3)", "", 3, FIXED),
        (f"{{{ORM}}}\nQ_CLUSTER['max_attempts'] = 3", "", 3, FIXED),
    ],
)
def test_what_the_cluster_does(
    tmp_path: Path, cluster: str, options: str, attempts: int | None, backoff: Backoff
) -> None:
    shop = open_shop(
        tmp_path / "r", handler("raise"), cluster=cluster, orders=SETTLE.format(options)
    )
    assert (shop.policy.max_attempts, shop.policy.backoff, dict(shop.policy.unknown)) == (
        attempts,
        backoff,
        {},
    )
    assert shop.policy.retried == (() if attempts == 1 else ("builtins:Exception",))
    assert shop.policy.acks_late == ("orm" in cluster)


def test_the_slowest_site_counts(tmp_path: Path) -> None:
    two = (
        SETTLE.format(", ack_failure=True")
        + "    async_task('shop.tasks.send_receipt', 8, timeout=80)\n"
    )
    found = open_shop(tmp_path / "r", handler("raise"), orders=two).policy
    assert (found.max_attempts, found.time_limit_s, found.visibility_timeout_s) == (5, 80.0, 90.0)


@pytest.mark.parametrize(
    ("cluster", "unknown"),
    [
        ("made()", {"max_attempts"}),
        (f"{{{ORM}, 'max_attempts': made()}}", {"max_attempts"}),
        (f"{{{ORM}, 'max_attempts': 2, 'retry': made()}}", {"backoff"}),
        (f"{{{ORM}, 'ack_failures': made()}}", {"max_attempts"}),
    ],
)
def test_what_is_computed_is_unknown(tmp_path: Path, cluster: str, unknown: set[str]) -> None:
    found = open_shop(
        tmp_path / "r", handler("raise"), cluster=cluster, orders=SETTLE.format("")
    ).policy
    assert unknown <= set(found.unknown)


@pytest.mark.parametrize(
    ("end", "attempts", "backoff"),
    [
        (
            (
                "if attempt >= N:\n    raise\nschedule('shop.tasks.send_receipt', order_id,"
                f" attempt + 1, {NOW}2 * 3 ** (attempt - 1)))"
            ),
            4,
            Backoff("exponential", 2.0, 3.0),
        ),
        (
            (
                "if attempt < 3:\n    schedule('shop.tasks.send_receipt', order_id,"
                f" attempt=attempt + 1, {NOW}30))\nelse:\n    raise"
            ),
            3,
            Backoff("fixed", 30.0),
        ),
        ("if attempt > 2:\n    raise\nasync_task(send_receipt, order_id, attempt + 1)", 3, NONE),
    ],
)
def test_a_handler_that_runs_itself_again(
    tmp_path: Path, end: str, attempts: int, backoff: Backoff
) -> None:
    cluster = f"{{{ORM}, 'ack_failures': True}}"
    text = handler(end, "order_id, attempt=1")
    found = open_shop(tmp_path / "r", text, cluster=cluster, orders=SETTLE.format("")).policy
    assert (found.max_attempts, found.backoff, dict(found.unknown)) == (attempts, backoff, {})
    assert found.retried == ("builtins:TimeoutError",)


def test_what_it_lets_out_is_run_again_as_well(tmp_path: Path) -> None:
    end = "if attempt > 2:\n    raise\nasync_task(send_receipt, order_id, attempt + 1)"
    found = open_shop(
        tmp_path / "r", handler(end, "order_id, attempt=1"), orders=SETTLE.format("")
    ).policy
    assert set(found.unknown) == {"max_attempts"}


RECORD = "dead_jobs.record(order_id, error)"
HOOK = (
    "from shop import dead_jobs\ndef ended(task):\n    if not task.success{}:\n       "
    " dead_jobs.record(task.args, 1)\n"
)
HOOKED = SETTLE.format(", hook='shop.hooks.ended'")


@pytest.mark.parametrize(
    "files",
    [
        {"hooks": HOOK.format(" and task.attempt_count >= 5"), "orders": HOOKED},
        {"hooks": HOOK.format(""), "orders": HOOKED},
        {
            "hooks": (
                "from django.dispatch import receiver\nfrom django_q.signals import post_execute\n"
                + HOOK.format("").replace("def ended", "@receiver(post_execute)\ndef ended")
            )
        },
        {
            "hooks": (
                HOOK.format("")
                + "from django_q.signals import post_execute\npost_execute.connect(ended)\n"
            )
        },
    ],
)
def test_a_record_of_a_hook_is_a_dead_letter(tmp_path: Path, files: dict[str, str]) -> None:
    shop = open_shop(tmp_path / "r", handler("raise"), **files)
    place = shop.policy.dead_letter
    assert place is not None and place.text.strip() == "dead_jobs.record(task.args, 1)"
    assert "failed" in django_q2.find_hooks(shop.project, shop.use, shop.handler)


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ("if task.success:\n        return\n    dead_jobs.record(1, 2)", True),
        (
            "if task.success:\n        log.info('done')\n    else:\n        dead_jobs.record(1, 2)",
            True,
        ),
        ("if not task.success and task.attempt_count > 4:\n        dead_jobs.record(1, 2)", True),
        ("dead_jobs.record(1, 2)", True),
        ("if task.success:\n        dead_jobs.record(1, 2)", False),
        ("if not task.success:\n        return\n    dead_jobs.record(1, 2)", False),
    ],
)
def test_what_a_hook_keeps_of_a_success_is_none(tmp_path: Path, body: str, kept: bool) -> None:
    hooks = f"from shop import dead_jobs\ndef ended(task):\n    {body}\n"
    place = open_shop(
        tmp_path / "r", handler("raise"), hooks=hooks, orders=HOOKED
    ).policy.dead_letter
    assert (place is not None) == kept


def test_a_hook_that_asks_for_the_attempt_hears_of_retries(tmp_path: Path) -> None:
    shop = open_shop(
        tmp_path / "r",
        handler("raise"),
        hooks=HOOK.format(" and task.attempt_count"),
        orders=HOOKED,
    )
    assert set(django_q2.find_hooks(shop.project, shop.use, shop.handler)) == {"failed", "retried"}


@pytest.mark.parametrize("end", [RECORD, f"if attempt > 2:\n    {RECORD}\n    return\nraise"])
def test_a_record_of_a_clause_is_a_dead_letter(tmp_path: Path, end: str) -> None:
    place = open_shop(tmp_path / "r", handler(end, "order_id, attempt=1")).policy.dead_letter
    assert place is not None and place.text.strip() == RECORD


@pytest.mark.parametrize(
    "end", ["raise", "async_task(send_receipt, order_id)", "log.error('given up')"]
)
def test_to_run_again_is_none(tmp_path: Path, end: str) -> None:
    assert open_shop(tmp_path / "r", handler(end)).policy.dead_letter is None


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (SETTLE.format(""), "enqueue"),
        (
            (
                "from django_q import tasks\nfrom shop.tasks import"
                " send_receipt\ntasks.async_task(send_receipt, 7)\n"
            ),
            "enqueue",
        ),
        (
            (
                "from django_q.tasks import async_task as later\nNAME ="
                " 'shop.tasks.send_receipt'\nlater(NAME, 7)\n"
            ),
            "enqueue",
        ),
        (
            "from django_q.tasks import AsyncTask\nAsyncTask('shop.tasks.send_receipt', 7).run()\n",
            "enqueue",
        ),
        (
            (
                "from functools import partial\nfrom django.db import transaction\nfrom"
                " django_q.tasks import async_task\ntransaction.on_commit(partial(async_task,"
                " 'shop.tasks.send_receipt', 7))\n"
            ),
            "enqueue",
        ),
        (
            (
                "from django_q.tasks import async_iter\nasync_iter('shop.tasks.send_receipt', [7,"
                " 8])\n"
            ),
            "enqueue",
        ),
        (
            (
                "from django_q.tasks import async_chain\nasync_chain([('shop.tasks.send_receipt',"
                " (7,))])\n"
            ),
            "enqueue",
        ),
        (
            "from django_q.tasks import schedule\nschedule('shop.tasks.send_receipt', 7)\n",
            "schedule",
        ),
        (
            (
                "from django_q.models import"
                " Schedule\nSchedule.objects.create(func='shop.tasks.send_receipt')\n"
            ),
            "schedule",
        ),
        (
            (
                "from django_q.models import Schedule\nSchedule.objects.update_or_create(name='x',"
                " defaults={'func': 'shop.tasks.send_receipt'})\n"
            ),
            "schedule",
        ),
        (
            (
                "def forwards(apps, editor):\n    Schedule = apps.get_model('django_q',"
                " 'Schedule')\n    Schedule.objects.create(func='shop.tasks.send_receipt')\n"
            ),
            "schedule",
        ),
        (
            (
                "from django_q.tasks import async_task\n"
                "def enqueue(func, *args):\n    async_task(func, *args, timeout=9)\n\n"
                "def settle():\n    enqueue('shop.tasks.send_receipt', 7)\n"
            ),
            "enqueue",
        ),
    ],
)
def test_who_publishes_it(tmp_path: Path, text: str, kind: str) -> None:
    assert [
        found for found, _ in open_shop(tmp_path / "r", handler("raise"), orders=text).wiring
    ] == [kind]


def test_a_function_of_another_name_is_another_job(tmp_path: Path) -> None:
    text = SETTLE.format("").replace("send_receipt", "send_reminder")
    assert open_shop(tmp_path / "r", handler("raise"), orders=text).wiring == []


def test_what_the_handler_publishes_of_itself_is_no_wiring(tmp_path: Path) -> None:
    assert open_shop(tmp_path / "r", handler("async_task(send_receipt, order_id)")).wiring == []


def test_who_schedules_the_publisher(tmp_path: Path) -> None:
    nightly = (
        SETTLE.format("")
        + "from django_q.tasks import schedule\ndef set_up():\n    schedule('shop.orders.settle')\n"
    )
    kinds = [kind for kind, _ in open_shop(tmp_path / "r", handler("raise"), orders=nightly).wiring]
    assert kinds == ["enqueue", "schedule"]


def test_the_app_is_the_cluster_s_settings(tmp_path: Path) -> None:
    root = helpers.build_tree(
        tmp_path / "r", {name: textwrap.dedent(text) for name, text in FILES.items()}
    )
    found = survey_tree(Tree(root), recognisers()).frameworks
    assert [(use.id, use.app) for use in found] == [("django-q2", "shop/settings.py:Q_CLUSTER")]
    assert "django-q2" not in RECOGNISED_ONLY


def test_settings_of_tests_are_not_read(tmp_path: Path) -> None:
    shop = open_shop(tmp_path / "r", handler("raise"), conftest="Q_CLUSTER = {'sync': True}\n")
    assert (
        django_q2.read_policy(shop.project, FrameworkUse("django-q2"), shop.handler).max_attempts
        == 5
    )


def test_what_a_worker_cannot_import_is_not_registered(tmp_path: Path) -> None:
    shop = open_shop(
        tmp_path / "r", "def made():\n    def inner(): ...\n    return inner\n" + handler("raise")
    )
    assert django_q2.find_registration(shop.project, shop.use, shop.handler) is not None
    (inner,) = (
        node for node in ast.walk(shop.handler.module.tree) if getattr(node, "name", "") == "inner"
    )
    assert isinstance(inner, ast.FunctionDef)
    hidden = shop.project.define(shop.handler.module, inner)
    assert django_q2.find_registration(shop.project, shop.use, hidden) is None
