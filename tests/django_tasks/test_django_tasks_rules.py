"""Each static rule of Django's tasks on code that has the mistake, and on code that looks like it
and is right.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from django_tasks_repo import SETTINGS, SPEC, findings, open_shop
from rule_checks import Check, make_checks

from skillrun.core.verdict import Severity
from skillrun.frameworks.django_tasks import FRAMEWORK as django_tasks

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
HEAD = """import datetime
from datetime import timedelta
from django.db import transaction
from django.utils import timezone
from django_tasks import task
from shop import dead_jobs, mailer
ATTEMPTS = 5
"""
WAIT = "timedelta(seconds=2 * 2 ** (attempt - 1))"
AGAIN = (
    f"send_receipt.using(run_after=timezone.now() + {WAIT}).enqueue(order_id, attempt=attempt + 1)"
)
FRAMEWORK = {"dead_letter": {"kind": "framework"}}
check_finds, check_ignores = make_checks("django-tasks", HEAD, open_shop, findings)


def clause(
    end: str,
    caught: str = "(mailer.Unavailable, TimeoutError)",
    *,
    more: str = "",
    head: str = "@task()",
) -> str:
    """A task whose effect stands in a try with one clause, and `more` of them behind it."""
    inner = textwrap.indent(textwrap.dedent(end).strip("\n"), "        ")
    return (
        f"{head}\ndef send_receipt(order_id, attempt=1):\n    try:\n        mailer.send(order_id)\n"
        f"    except {caught} as error:\n{inner}\n{more}"
    )


PLAIN = "@task()\ndef send_receipt(order_id, attempt=1):\n    mailer.send(order_id)\n"
LOOP = """import time
def patiently(order_id):
    for wait in (2, 4, 8, 16):
        try:
            return mailer.send(order_id)
        except (mailer.Unavailable, TimeoutError):
            time.sleep(wait)
    mailer.send(order_id)

@task()
def send_receipt(order_id):
    try:
        patiently(order_id)
    except Exception as error:
        dead_jobs.record(order_id, error)
        raise
"""
LAST = "if attempt >= ATTEMPTS:\n    dead_jobs.record(order_id, error)\n    raise\n"
BOUNDED = clause(LAST + AGAIN)
REJECTED = (
    "    except mailer.BadAddress as error:\n        dead_jobs.record(order_id, error)\n       "
    " raise\n"
)


def orders(body: str, head: str = "") -> str:
    return (
        f"{head}\nfrom shop.tasks import send_receipt\n\ndef"
        f" settle(order_id):\n{textwrap.indent(body, '    ')}\n"
    )


def tasks_set(backend: str, more: str = "") -> dict[str, str]:
    return {"settings": f'TASKS = {{"default": {{"BACKEND": "{backend}"{more}}}}}\n'}


def test_every_rule_has_a_pair() -> None:
    text = Path(__file__).read_text()
    # Tested with Celery.
    shared = {
        "django-tasks.check-then-act",
        "django-tasks.select-for-update-outside-transaction",
    }
    for rule in {rule.id for rule in django_tasks.list_rules()} - shared:
        for check in ("finds", "ignores"):
            pattern = rf'check_{check}\(\s*"{rule.removeprefix("django-tasks.")}"'
            assert re.search(pattern, text), (rule, check)


# What is run again


def test_lost_on_kill(check_finds: Check, check_ignores: Check) -> None:
    check_finds("lost-on-kill", BOUNDED, WARNING, "stays RUNNING")
    sweep = (
        "from django_tasks_db.models import DBTaskResult\ndef sweep():\n   "
        " DBTaskResult.objects.running().update()\n"
    )
    check_ignores("lost-on-kill", BOUNDED, sweep=sweep)
    check_ignores("lost-on-kill", BOUNDED, spec={"trigger": {"type": "poller", "every": "1m"}})


def test_no_retry(check_finds: Check, check_ignores: Check) -> None:
    one = {**SPEC["failures"], "transient": ["TimeoutError"]}
    check_finds("no-retry", PLAIN, ERROR, "leaves the handler", spec={"failures": one})
    check_finds(
        "no-retry", clause("raise"), ERROR, "raised again from this clause", spec={"failures": one}
    )
    check_ignores("no-retry", BOUNDED)
    check_ignores(
        "no-retry",
        clause("again(order_id, attempt)") + f"def again(order_id, attempt):\n    {AGAIN}\n",
    )
    check_ignores("no-retry", "from tenacity import retry\n" + PLAIN)
    check_ignores("no-retry", PLAIN, spec={"retry": {"kind": "none", "reason": "one is all"}})
    inner = "try:\n    mailer.send(order_id)\nexcept Exception:\n    free(order_id)\n    raise"
    check_ignores(
        "no-retry",
        BOUNDED.replace("mailer.send(order_id)", textwrap.indent(inner, " " * 8).strip()),
    )
    check_ignores("no-retry", LOOP)


def test_retry_unbounded(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "retry-unbounded", clause("send_receipt.enqueue(order_id)"), ERROR, "no argument counts"
    )
    check_finds("retry-unbounded", clause(AGAIN), ERROR, "nothing compares attempt")
    check_finds(
        "retry-unbounded",
        clause(LAST + "send_receipt.enqueue(order_id)"),
        ERROR,
        "attempt does not go along",
    )
    check_ignores("retry-unbounded", BOUNDED)
    check_ignores("retry-unbounded", clause(f"if attempt < 5:\n    {AGAIN}\n    return\nraise"))
    check_ignores("retry-unbounded", clause(f"if order.attempts < limit():\n    {AGAIN}"))


def test_attempt_is_always_one(check_finds: Check, check_ignores: Check) -> None:
    context = "@task(takes_context=True)\ndef send_receipt(context, order_id):\n    {}\n"
    check_finds(
        "attempt-is-always-one",
        context.format("if context.attempt >= 5: raise LookupError"),
        ERROR,
        "always 1",
    )
    check_finds(
        "attempt-is-always-one",
        context.format("a = 1 < context.task_result.attempts"),
        ERROR,
        "always 1",
    )
    check_ignores("attempt-is-always-one", context.format("log(context.attempt)"))
    check_finds(
        "attempt-is-always-one", context.format("n = context.attempt; m = n > 4"), ERROR, "always 1"
    )
    check_ignores("attempt-is-always-one", BOUNDED)


def test_permanent_retried(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "permanent-retried", clause(LAST + AGAIN, "Exception"), ERROR, "permanent in the spec"
    )
    check_ignores(
        "permanent-retried",
        clause(LAST + AGAIN, "Exception").replace("    except", REJECTED + "    except", 1),
    )
    asked = clause(f"if is_passing(error):\n    {AGAIN}", "Exception")
    check_finds("permanent-retried", asked, NOTE, "depends on a condition")


def test_retry_at_once(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "retry-at-once",
        clause(LAST + "send_receipt.enqueue(order_id, attempt + 1)"),
        WARNING,
        "without run_after",
    )
    check_ignores("retry-at-once", BOUNDED)
    check_ignores(
        "retry-at-once",
        clause(LAST + "send_receipt.using(**options(attempt)).enqueue(order_id, attempt + 1)"),
    )


def test_flat_wait(check_finds: Check, check_ignores: Check) -> None:
    flat = AGAIN.replace("2 * 2 ** (attempt - 1)", "30")
    check_finds("flat-wait", clause(LAST + flat), WARNING, "the same before every attempt")
    check_ignores("flat-wait", BOUNDED)
    fixed = {"retry": {"max_attempts": 5, "backoff": {"kind": "fixed", "base": "30s"}}}
    check_ignores("flat-wait", clause(LAST + flat), spec=fixed)


def test_retry_rolled_back(check_finds: Check, check_ignores: Check) -> None:
    block = "with transaction.atomic():\n    {}\n    raise\n"
    check_finds("retry-rolled-back", clause(LAST + block.format(AGAIN)), ERROR, "undoes")
    atomic = "@task()\n@transaction.atomic"
    check_finds("retry-rolled-back", clause(f"{LAST}{AGAIN}\nraise", head=atomic), ERROR, "undoes")
    check_ignores("retry-rolled-back", clause(LAST + AGAIN, head=atomic))
    check_ignores("retry-rolled-back", clause(f"{LAST}{AGAIN}\nraise"))


def test_naive_run_after(check_finds: Check, check_ignores: Check) -> None:
    naive = AGAIN.replace("timezone.now()", "datetime.datetime.now()")
    check_finds("naive-run-after", clause(LAST + naive), ERROR, "no time zone")
    held = f"when = datetime.datetime.utcnow()\n{AGAIN.replace('timezone.now()', 'when')}"
    check_ignores("naive-run-after", clause(LAST + held))  # through a sum it is not followed
    check_ignores("naive-run-after", BOUNDED)
    check_ignores(
        "naive-run-after", clause(LAST + naive.replace("now()", "now(datetime.timezone.utc)"))
    )
    manage = {
        "manage.py": 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'
    }
    check_ignores(
        "naive-run-after",
        clause(LAST + naive),
        files=manage,
        settings=f"{textwrap.dedent(SETTINGS)}USE_TZ = False\n",
    )


def test_swallowed_exception(check_finds: Check, check_ignores: Check) -> None:
    check_finds("swallowed-exception", clause("return {'ok': False}"), ERROR, "SUCCESSFUL")
    check_ignores("swallowed-exception", BOUNDED)
    check_ignores("swallowed-exception", clause("raise"))
    check_ignores("swallowed-exception", LOOP)


# How it ends


def test_record_rolled_back(check_finds: Check, check_ignores: Check) -> None:
    record = "dead_jobs.record(order_id, error)\nraise"
    atomic = "@task()\n@transaction.atomic"
    check_finds(
        "record-rolled-back",
        clause(record, "mailer.BadAddress", head=atomic),
        ERROR,
        "none is left",
    )
    block = "with transaction.atomic():\n    dead_jobs.record(order_id, error)\n    raise"
    check_finds("record-rolled-back", clause(block, "mailer.BadAddress"), ERROR, "none is left")
    check_ignores("record-rolled-back", clause(record, "mailer.BadAddress"))
    check_ignores(
        "record-rolled-back",
        clause("dead_jobs.record(order_id, error)", "mailer.BadAddress", head=atomic),
    )
    inner = "with transaction.atomic():\n    dead_jobs.record(order_id, error)\nraise"
    check_ignores("record-rolled-back", clause(inner, "mailer.BadAddress"))


def test_failed_at_every_attempt(check_finds: Check, check_ignores: Check) -> None:
    check_finds("failed-at-every-attempt", clause(f"{LAST}{AGAIN}\nraise"), WARNING, "FAILED row")
    check_finds(
        "failed-at-every-attempt",
        clause(f"{LAST}{AGAIN}\nraise"),
        ERROR,
        "FAILED row",
        spec=FRAMEWORK,
    )
    check_ignores("failed-at-every-attempt", BOUNDED)
    check_ignores(
        "failed-at-every-attempt", clause(f"if attempt < 5:\n    {AGAIN}\nelse:\n    raise")
    )


def test_given_up_as_successful(check_finds: Check, check_ignores: Check) -> None:
    quiet = clause("log(error)", "mailer.BadAddress")
    check_finds("given-up-as-successful", quiet, ERROR, "no dead letter", spec=FRAMEWORK)
    check_ignores(
        "given-up-as-successful", clause("log(error)\nraise", "mailer.BadAddress"), spec=FRAMEWORK
    )
    check_ignores("given-up-as-successful", quiet)


def test_permanent_not_recorded(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "permanent-not-recorded",
        clause("return", "mailer.BadAddress"),
        ERROR,
        "permanent in the spec",
    )
    check_ignores(
        "permanent-not-recorded", clause("dead_jobs.record(order_id, error)", "mailer.BadAddress")
    )


def test_failed_rows_pruned(check_finds: Check, check_ignores: Check) -> None:
    prune = "0 4 * * * python manage.py prune_db_task_results{}\n"
    check_finds(
        "failed-rows-pruned",
        BOUNDED,
        WARNING,
        "after 14 days",
        spec=FRAMEWORK,
        files={"crontab": prune.format("")},
    )
    kept = {"crontab": prune.format(" --failed-min-age-days 365")}
    check_ignores("failed-rows-pruned", BOUNDED, spec=FRAMEWORK, files=kept)
    check_ignores("failed-rows-pruned", BOUNDED, files={"crontab": prune.format("")})


# How it is run


def test_no_worker(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "no-worker",
        PLAIN,
        ERROR,
        "where it is enqueued",
        **tasks_set("django.tasks.backends.immediate.ImmediateBackend"),
    )
    check_finds(
        "no-worker",
        PLAIN,
        ERROR,
        "never runs it",
        **tasks_set("django_tasks.backends.dummy.DummyBackend"),
    )
    check_ignores("no-worker", PLAIN)
    by_env = "import os\nTASKS = {'default': {'BACKEND': os.environ['TASKS']}}\n"
    check_ignores("no-worker", PLAIN, settings=by_env)


def test_unknown_queue(check_finds: Check, check_ignores: Check) -> None:
    slow = PLAIN.replace("task()", "task(queue_name='slow')")
    check_finds("unknown-queue", slow, ERROR, "none of the backend's")
    later = orders("send_receipt.using(queue_name='slow').enqueue(order_id)")
    check_finds("unknown-queue", PLAIN, ERROR, "InvalidTask", orders=later)
    check_ignores(
        "unknown-queue",
        slow,
        **tasks_set("django_tasks_db.DatabaseBackend", ', "QUEUES": ["default", "slow"]'),
    )
    check_ignores(
        "unknown-queue", slow, **tasks_set("django_tasks_db.DatabaseBackend", ', "QUEUES": []')
    )


def test_unread_queue(check_finds: Check, check_ignores: Check) -> None:
    slow = PLAIN.replace("task()", "task(queue_name='slow')")
    check_finds(
        "unread-queue",
        slow,
        WARNING,
        "read by no db_worker",
        worker="worker: python manage.py db_worker",
    )
    check_ignores(
        "unread-queue", slow, worker="worker: python manage.py db_worker --queue-name default,slow"
    )
    check_ignores(
        "unread-queue", slow, worker="worker: python manage.py db_worker --queue-name='*'"
    )
    check_ignores("unread-queue", slow)


def test_context_first(check_finds: Check, check_ignores: Check) -> None:
    taken = "@task(takes_context=True)\ndef send_receipt({}):\n    mailer.send(order_id)\n"
    check_finds("context-first", taken.format("ctx, order_id"), ERROR, "named context")
    check_finds(
        "context-first",
        taken.replace("takes_context=True", "").format("context, order_id"),
        ERROR,
        "nobody gives",
    )
    check_ignores("context-first", taken.format("context, order_id"))
    check_ignores("context-first", PLAIN)


def test_enqueue_on_commit(check_finds: Check, check_ignores: Check) -> None:
    old = tasks_set("django_tasks_db.DatabaseBackend", ', "ENQUEUE_ON_COMMIT": True')
    check_finds("enqueue-on-commit", PLAIN, WARNING, "not read", **old)
    check_ignores("enqueue-on-commit", PLAIN)


# How it is enqueued


def test_called(check_finds: Check, check_ignores: Check) -> None:
    check_finds("called", PLAIN, ERROR, "TypeError", orders=orders("send_receipt(order_id)"))
    check_finds(
        "called", PLAIN, WARNING, "where it stands", orders=orders("send_receipt.call(order_id)")
    )
    check_ignores("called", PLAIN, orders=orders("send_receipt.enqueue(order_id)"))
    check_ignores(
        "called", PLAIN, files={"tests/test_it.py": orders("send_receipt.call(order_id)")}
    )


def test_not_awaited(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "not-awaited", PLAIN, ERROR, "not awaited", orders=orders("send_receipt.aenqueue(order_id)")
    )
    check_ignores(
        "not-awaited",
        PLAIN,
        orders=orders("await send_receipt.aenqueue(order_id)").replace("def", "async def"),
    )


def test_wrong_arguments(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "wrong-arguments",
        PLAIN,
        ERROR,
        "order_id is missing",
        orders=orders("send_receipt.enqueue()"),
    )
    check_finds(
        "wrong-arguments",
        PLAIN,
        ERROR,
        "takes no copy",
        orders=orders("send_receipt.enqueue(order_id, copy=1)"),
    )
    check_ignores(
        "wrong-arguments", PLAIN, orders=orders("send_receipt.enqueue(order_id=order_id)")
    )
    taken = "@task(takes_context=True)\ndef send_receipt(context, order_id): ...\n"
    check_ignores("wrong-arguments", taken, orders=orders("send_receipt.enqueue(order_id)"))


def test_publish_in_transaction(check_finds: Check, check_ignores: Check) -> None:
    inside = orders(
        "with transaction.atomic():\n    send_receipt.enqueue(order_id)",
        "from django.db import transaction",
    )
    redis = tasks_set("django_tasks_rq.RQBackend")
    check_finds(
        "publish-in-transaction", PLAIN, ERROR, "inside a transaction", orders=inside, **redis
    )
    # The row is in the same transaction.
    check_ignores("publish-in-transaction", PLAIN, orders=inside)
    later = inside.replace(
        "send_receipt.enqueue(order_id)",
        "transaction.on_commit(lambda: send_receipt.enqueue(order_id))",
    )
    check_ignores("publish-in-transaction", PLAIN, orders=later, **redis)


def test_publish_unkeyed(check_finds: Check, check_ignores: Check) -> None:
    other = "@task()\ndef archive(order_id): ...\n\n"
    check_finds(
        "publish-unkeyed",
        f"{other}{PLAIN}    archive.enqueue(order_id)\n",
        WARNING,
        "enqueues once more",
    )
    inside = "    with transaction.atomic():\n        archive.enqueue(order_id)\n"
    check_finds("publish-unkeyed", f"{other}{PLAIN}{inside}", NOTE, "enqueues once more")
    check_ignores("publish-unkeyed", other + BOUNDED)


def test_object_argument(check_finds: Check, check_ignores: Check) -> None:
    head = "from django.utils import timezone\nfrom shop.models import Order"
    row = orders("send_receipt.enqueue(Order.objects.get(pk=order_id))", head)
    check_finds("object-argument", PLAIN, ERROR, "a row of shop.models.Order", orders=row)
    check_finds(
        "object-argument",
        PLAIN,
        ERROR,
        "no JSON",
        orders=orders("send_receipt.enqueue(timezone.now())", head),
    )
    check_ignores("object-argument", PLAIN, orders=orders("send_receipt.enqueue(order_id)", head))
