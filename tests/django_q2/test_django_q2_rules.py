"""Each static rule of Django Q2 on code that has the mistake, and on code that looks like it and is
right.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

from django_q2_repo import SPEC, findings, open_shop
from rule_checks import Check, make_checks

from skillrun.core.verdict import Severity
from skillrun.frameworks.django_q2 import FRAMEWORK

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
HEAD = "from django_q.tasks import async_task, schedule\nfrom shop import dead_jobs, mailer\n"
PLAIN = "def send_receipt(order_id, email=''):\n    mailer.send(order_id)\n"
ORM = "'orm': 'default', 'retry': 90"
WHOLE = f"{{{ORM}, 'timeout': 60, 'max_attempts': 5}}"
REDIS = "{'redis': {'host': 'localhost'}, 'timeout': 60}"
check_finds, check_ignores = make_checks("django-q2", HEAD, open_shop, findings)


def clause(
    end: str,
    caught: str = "(mailer.Unavailable, TimeoutError)",
    parameters: str = "order_id, email=''",
) -> str:
    """A handler whose effect stands in a try with one clause."""
    inner = textwrap.indent(textwrap.dedent(end).strip("\n"), "        ")
    return (
        f"def send_receipt({parameters}):\n    try:\n        mailer.send(order_id)\n"
        f"    except {caught} as error:\n{inner}\n"
    )


AGAIN = clause(
    "if attempt >= 5:\n    raise\nschedule('shop.tasks.send_receipt', order_id, attempt=attempt"
    " + 1)",
    parameters="order_id, attempt=1",
)


def orders(call: str, head: str = "") -> str:
    return (
        f"from django_q.tasks import async_task, schedule\n{head}\ndef settle(order_id):\n   "
        f" {call}\n"
    )


SETTLE = orders("async_task('shop.tasks.send_receipt', order_id)")


def with_options(options: str) -> str:
    return orders(f"async_task('shop.tasks.send_receipt', order_id, {options})")


def test_every_rule_has_a_pair() -> None:
    # Where a line is broken says nothing.
    text = "".join(Path(__file__).read_text().split())
    # Tested with Celery.
    shared = {
        "django-q2.check-then-act",
        "django-q2.select-for-update-outside-transaction",
    }
    for rule in {rule.id for rule in FRAMEWORK.list_rules()} - shared:
        for check in ("finds", "ignores"):
            assert f'check_{check}("{rule.removeprefix("django-q2.")}"' in text, (rule, check)


# Q_CLUSTER


def test_retry_below_timeout(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "retry-below-timeout",
        PLAIN,
        ERROR,
        "runs twice at once",
        cluster=f"{{{ORM}, 'timeout': 600}}",
    )
    check_finds(
        "retry-below-timeout",
        PLAIN,
        ERROR,
        "by default",
        cluster="{'orm': 'default', 'timeout': 60}",
    )
    check_finds(
        "retry-below-timeout",
        PLAIN,
        ERROR,
        "may run for 100 s",
        cluster=WHOLE,
        orders=with_options("timeout=100"),
    )
    check_ignores("retry-below-timeout", PLAIN, cluster=WHOLE, orders=with_options("timeout=80"))
    check_ignores("retry-below-timeout", PLAIN, cluster="{'redis': {}, 'timeout': 600}")
    check_ignores("retry-below-timeout", PLAIN, cluster=f"{{{ORM}, 'timeout': made()}}")


def test_no_timeout(check_finds: Check, check_ignores: Check) -> None:
    check_finds("no-timeout", PLAIN, WARNING, "never ended", cluster=f"{{{ORM}}}")
    check_ignores("no-timeout", PLAIN, cluster=WHOLE)
    check_ignores("no-timeout", PLAIN, cluster=f"{{{ORM}}}", orders=with_options("timeout=30"))
    check_ignores("no-timeout", PLAIN, cluster="made()")


def test_unbounded_attempts(check_finds: Check, check_ignores: Check) -> None:
    check_finds("unbounded-attempts", PLAIN, ERROR, "is not set", cluster=f"{{{ORM}}}")
    check_finds("unbounded-attempts", PLAIN, ERROR, "is 0", cluster=f"{{{ORM}, 'max_attempts': 0}}")
    check_ignores("unbounded-attempts", PLAIN, cluster=WHOLE)
    check_ignores("unbounded-attempts", PLAIN, cluster=f"{{{ORM}, 'ack_failures': True}}")
    check_ignores("unbounded-attempts", PLAIN, cluster=REDIS)


def test_cached_unbounded(check_finds: Check, check_ignores: Check) -> None:
    words = "no attempt is counted"
    check_finds(
        "cached-unbounded", PLAIN, ERROR, words, cluster=WHOLE, orders=with_options("cached=60")
    )
    check_finds(
        "cached-unbounded", PLAIN, ERROR, words, cluster=WHOLE.replace("{", "{'cached': True, ", 1)
    )
    check_ignores(
        "cached-unbounded", PLAIN, cluster=WHOLE, orders=with_options("cached=60, ack_failure=True")
    )
    check_ignores("cached-unbounded", PLAIN, cluster=WHOLE, orders=SETTLE)


def test_one_attempt(check_finds: Check, check_ignores: Check) -> None:
    once = f"{{{ORM}, 'max_attempts': 1}}"
    check_finds("one-attempt", PLAIN, NOTE, "two attempts before", cluster=once)
    check_ignores("one-attempt", PLAIN, cluster=once.replace("{", "{'ack_failures': True, ", 1))
    check_ignores("one-attempt", PLAIN, cluster=WHOLE)


def test_redis_gives_nothing_back(check_finds: Check, check_ignores: Check) -> None:
    check_finds("redis-gives-nothing-back", PLAIN, ERROR, "asks for 5", cluster=REDIS)
    check_ignores("redis-gives-nothing-back", PLAIN, cluster=WHOLE)
    check_ignores("redis-gives-nothing-back", AGAIN, cluster=REDIS)
    none = {"retry": {"kind": "none", "reason": "one is all"}}
    check_ignores("redis-gives-nothing-back", PLAIN, cluster=REDIS, spec=none)


def test_failures_acknowledged(check_finds: Check, check_ignores: Check) -> None:
    acked = WHOLE.replace("{", "{'ack_failures': True, ", 1)
    check_finds("failures-acknowledged", PLAIN, ERROR, "nothing runs it again", cluster=acked)
    check_finds(
        "failures-acknowledged",
        PLAIN,
        ERROR,
        "5 attempts",
        cluster=WHOLE,
        orders=with_options("ack_failure=True"),
    )
    check_ignores("failures-acknowledged", AGAIN, cluster=acked)
    check_ignores(
        "failures-acknowledged", PLAIN, cluster=acked, orders=with_options("ack_failure=False")
    )


def test_fractional_timeout(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "fractional-timeout", PLAIN, ERROR, "signal.alarm", cluster=f"{{{ORM}, 'timeout': 7.5}}"
    )
    check_finds(
        "fractional-timeout", PLAIN, ERROR, "0.5", cluster=WHOLE, orders=with_options("timeout=0.5")
    )
    check_ignores("fractional-timeout", PLAIN, cluster=WHOLE, orders=with_options("timeout=5"))


def test_sync_left_on(check_finds: Check, check_ignores: Check) -> None:
    on = WHOLE.replace("{", "{'sync': True, ", 1)
    check_finds("sync-left-on", PLAIN, ERROR, "no worker sees one", cluster=on)
    check_finds(
        "sync-left-on",
        PLAIN,
        ERROR,
        "in the caller",
        cluster=WHOLE,
        orders=with_options("sync=True"),
    )
    check_ignores(
        "sync-left-on",
        PLAIN,
        cluster=on.replace("True", "TESTING"),
        orders=with_options("sync=False"),
    )


# What becomes of a failure


def test_permanent_retried(check_finds: Check, check_ignores: Check) -> None:
    check_finds("permanent-retried", PLAIN, ERROR, "leaves the handler", cluster=WHOLE)
    check_finds(
        "permanent-retried",
        clause("raise", "Exception"),
        ERROR,
        "leaves the handler",
        cluster=WHOLE,
    )
    broad = AGAIN.replace("(mailer.Unavailable, TimeoutError)", "Exception")
    check_finds(
        "permanent-retried",
        broad,
        ERROR,
        "is run again here",
        cluster=f"{{{ORM}, 'ack_failures': True}}",
    )
    check_ignores(
        "permanent-retried",
        clause("dead_jobs.record(order_id, error)", "mailer.BadAddress"),
        cluster=WHOLE,
    )
    check_ignores("permanent-retried", PLAIN, cluster=f"{{{ORM}, 'ack_failures': True}}")
    check_ignores("permanent-retried", AGAIN, cluster=f"{{{ORM}, 'ack_failures': True}}")


def test_swallowed_exception(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "swallowed-exception", clause("return {'ok': False}"), ERROR, "keeps it as a success"
    )
    check_ignores("swallowed-exception", clause("raise"))
    check_ignores("swallowed-exception", AGAIN)


def test_exit(check_finds: Check, check_ignores: Check) -> None:
    check_finds("exit", "import sys\n" + clause("sys.exit(1)"), ERROR, "ends the worker's process")
    check_ignores("exit", "import sys\n" + clause("raise"))


HOOK = (
    "from shop import dead_jobs\ndef ended(task):\n    if not task.success{}:\n       "
    " dead_jobs.record(task.args, 1)\n"
)


def test_recorded_each_time(check_finds: Check, check_ignores: Check) -> None:
    hooked = with_options("hook='shop.hooks.ended'")
    counting = HOOK.format(" and task.attempt_count >= 5")
    check_finds(
        "recorded-each-time",
        PLAIN,
        WARNING,
        "each time",
        cluster=WHOLE,
        orders=hooked,
        hooks=HOOK.format(""),
    )
    check_ignores("recorded-each-time", PLAIN, cluster=WHOLE, orders=hooked, hooks=counting)
    done = HOOK.format("").replace("not task.success", "task.success")
    check_ignores("recorded-each-time", PLAIN, cluster=WHOLE, orders=hooked, hooks=done)
    acked = f"{{{ORM}, 'ack_failures': True}}"
    check_ignores("recorded-each-time", PLAIN, cluster=acked, orders=hooked, hooks=HOOK.format(""))


def test_hook_as_function(check_finds: Check, check_ignores: Check) -> None:
    hooks = HOOK.format(" and task.attempt_count >= 5")
    given = orders(
        "async_task('shop.tasks.send_receipt', order_id, hook=ended)",
        "from shop.hooks import ended\n",
    )
    check_finds(
        "hook-as-function", PLAIN, ERROR, "not called", cluster=WHOLE, orders=given, hooks=hooks
    )
    named = with_options("hook='shop.hooks.ended'")
    check_ignores("hook-as-function", PLAIN, cluster=WHOLE, orders=named, hooks=hooks)
    check_ignores(
        "hook-as-function",
        PLAIN,
        cluster=f"{{{ORM}, 'ack_failures': True}}",
        orders=given,
        hooks=hooks,
    )


def test_permanent_not_recorded(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "permanent-not-recorded",
        clause("return", "mailer.BadAddress"),
        ERROR,
        "without a dead letter",
    )
    kept = clause("dead_jobs.record(order_id, error)", "mailer.BadAddress")
    check_ignores("permanent-not-recorded", kept)


# Publishing


def test_never_runs(check_finds: Check, check_ignores: Check) -> None:
    check_finds("never-runs", "async " + PLAIN, ERROR, "awaits nothing")
    check_finds("never-runs", PLAIN + "    yield order_id\n", ERROR, "runs none of it")
    check_ignores("never-runs", PLAIN + "    each = lambda: (yield 1)\n    return list(each())\n")


def test_unknown_name(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "unknown-name",
        PLAIN,
        ERROR,
        "names no function",
        orders=SETTLE.replace("shop.tasks", "shop.jobs"),
    )
    check_finds(
        "unknown-name", PLAIN, ERROR, "names no function", orders=SETTLE.replace("s.send", "s:send")
    )
    check_ignores("unknown-name", PLAIN, orders=SETTLE)
    check_ignores("unknown-name", PLAIN, orders=SETTLE.replace("shop.tasks", "another.package"))


def test_option_taken(check_finds: Check, check_ignores: Check) -> None:
    grouped = "def send_receipt(order_id, group=None, name=None):\n    mailer.send(order_id)\n"
    check_finds("option-taken", grouped, ERROR, "never sees it", orders=with_options("group='eu'"))
    named = orders("schedule('shop.tasks.send_receipt', order_id, name='x')")
    check_finds("option-taken", grouped, ERROR, "name= is an option", orders=named)
    check_ignores("option-taken", grouped, orders=with_options("name='x'"))
    check_ignores("option-taken", PLAIN, orders=with_options("group='eu'"))


def test_wrong_arguments(check_finds: Check, check_ignores: Check) -> None:
    check_finds("wrong-arguments", PLAIN, ERROR, "takes no mail", orders=with_options("mail='a'"))
    check_finds(
        "wrong-arguments", PLAIN, ERROR, "is missing", orders=SETTLE.replace(", order_id)", ")")
    )
    check_ignores(
        "wrong-arguments", PLAIN, orders=with_options("email='a', timeout=5, task_name='x'")
    )
    check_ignores(
        "wrong-arguments", PLAIN.replace("email=''", "**more"), orders=with_options("mail='a'")
    )


def test_publish_in_transaction(check_finds: Check, check_ignores: Check) -> None:
    head = "from django.db import transaction\n\n@transaction.atomic"
    inside = orders("async_task('shop.tasks.send_receipt', order_id)", head)
    check_finds(
        "publish-in-transaction", PLAIN, ERROR, "before the commit", cluster=REDIS, orders=inside
    )
    check_ignores("publish-in-transaction", PLAIN, cluster=WHOLE, orders=inside)
    check_ignores("publish-in-transaction", PLAIN, cluster=REDIS, orders=SETTLE)


def test_publish_unkeyed(check_finds: Check, check_ignores: Check) -> None:
    chain = PLAIN + "    async_task('shop.tasks.archive', order_id)\n"
    check_finds("publish-unkeyed", chain, WARNING, "queues once more")
    check_ignores("publish-unkeyed", AGAIN)


def test_scheduled_at_start(check_finds: Check, check_ignores: Check) -> None:
    call = "schedule('shop.tasks.send_receipt', 7, schedule_type='D')\n"
    ready = (
        f"from django_q.tasks import schedule\nclass Shop:\n    def ready(self):\n        {call}"
    )
    row = (
        "from django_q.models import"
        " Schedule\nSchedule.objects.{}(func='shop.tasks.send_receipt')\n"
    )
    check_finds("scheduled-at-start", PLAIN + call, ERROR, "at each start")
    check_finds("scheduled-at-start", PLAIN, ERROR, "at each start", apps=ready)
    check_finds("scheduled-at-start", PLAIN, ERROR, "at each start", apps=row.format("create"))
    check_ignores("scheduled-at-start", PLAIN, apps=row.format("get_or_create"))
    check_ignores("scheduled-at-start", PLAIN, orders=orders(call))
    asked = f"if not Schedule.objects.filter(name='x').exists():\n            {call}"
    check_ignores("scheduled-at-start", PLAIN, apps=ready.replace(call, asked))


def test_object_argument(check_finds: Check, check_ignores: Check) -> None:
    head = "from django.db import models\n\nclass Order(models.Model): ...\n"
    row = "order = Order.objects.get(id=order_id)\n    async_task('shop.tasks.send_receipt', {})"
    check_finds(
        "object-argument",
        PLAIN,
        WARNING,
        "pickled as it is now",
        orders=orders(row.format("order"), head),
    )
    check_ignores("object-argument", PLAIN, orders=orders(row.format("order.id"), head))


def test_schedule_argument(check_finds: Check, check_ignores: Check) -> None:
    head = "from django.utils import timezone\n"
    call = "schedule('shop.tasks.send_receipt', {}, next_run=timezone.now())"
    check_finds(
        "schedule-argument",
        PLAIN,
        ERROR,
        "no literal",
        orders=orders(call.format("timezone.now()"), head),
    )
    check_ignores("schedule-argument", PLAIN, orders=orders(call.format("order_id"), head))
    check_ignores(
        "schedule-argument", PLAIN, orders=orders(call.format("timezone.now().isoformat()"), head)
    )


def test_the_sample_spec_asks_for_retries() -> None:
    assert SPEC["retry"]["max_attempts"] == 5
