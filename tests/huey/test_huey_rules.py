"""Each static rule of Huey on code that has the mistake, and on code that looks like it and is
right.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

from huey_repo import APP, findings, open_shop
from rule_checks import Check, make_checks

from skillrun.core.verdict import Severity
from skillrun.frameworks.huey import FRAMEWORK

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
HEAD = """\
from huey import CancelExecution, RetryTask, crontab
from shop import dead_jobs, mailer
from shop.app import huey
"""
SQLITE = "from huey import SqliteHuey\nhuey = SqliteHuey('shop')\n"
PLAIN = "@huey.task()\ndef send_receipt(order_id):\n    mailer.send(order_id)\n"
RETRIED = PLAIN.replace("task()", "task(retries=3, retry_delay=2, retry_backoff=2)")
NIGHTLY = (
    "@huey.periodic_task(crontab(minute='0', hour='3'))\ndef send_receipt():\n    mailer.send(1)\n"
)
CONSUMER = {"Procfile": "worker: huey_consumer shop.app.huey -w 2\n"}
check_finds, check_ignores = make_checks("huey", HEAD, open_shop, findings)


def clause(
    caught: str, end: str, options: str = "retries=3, retry_delay=2, retry_backoff=2"
) -> str:
    inner = textwrap.indent(textwrap.dedent(end), "        ")
    return (
        f"@huey.task({options}, context=True)\ndef send_receipt(order_id, task):\n    try:\n"
        f"        mailer.send(order_id)\n    except {caught} as error:\n{inner}\n"
    )


def orders(line: str, head: str = "") -> dict[str, str]:
    return {
        "orders": f"from shop.tasks import send_receipt\n{head}\n\ndef settle(order):\n    {line}\n"
    }


def test_every_rule_has_a_pair() -> None:
    # Where a line is broken says nothing.
    text = "".join(Path(__file__).read_text("utf-8").split())
    # Tested with Celery.
    shared = {
        "huey.check-then-act",
        "huey.select-for-update-outside-transaction",
    }
    for rule in {rule.id for rule in FRAMEWORK.list_rules()} - shared:
        for check in ("finds", "ignores"):
            assert f'check_{check}("{rule.removeprefix("huey.")}"' in text, (rule, check)


# What becomes of a failure


def test_lost_on_kill(check_finds: Check, check_ignores: Check) -> None:
    check_finds("lost-on-kill", RETRIED, WARNING, "loses it", **orders("send_receipt(order)"))
    again = "@huey.periodic_task(crontab())\ndef sweep():\n    settle(1)\n"
    head = "from huey import crontab\nfrom shop.app import huey"
    swept = {"orders": orders("send_receipt(order)", head)["orders"] + again}
    check_ignores("lost-on-kill", RETRIED, **swept)
    check_ignores("lost-on-kill", NIGHTLY)


def test_retry_unbounded(check_finds: Check, check_ignores: Check) -> None:
    check_finds("retry-unbounded", clause("OSError", "raise RetryTask(delay=9)"), ERROR, "for ever")
    check_finds(
        "retry-unbounded", clause("OSError", "raise CancelExecution(retry=True)"), ERROR, "for ever"
    )
    guarded = clause("OSError", "if young(order_id):\n    raise RetryTask(delay=9)\nraise")
    check_finds("retry-unbounded", guarded, WARNING, "only the condition")
    check_ignores("retry-unbounded", clause("OSError", "raise"))
    check_ignores("retry-unbounded", clause("OSError", "raise CancelExecution(retry=False)"))


def test_cancel_is_retried(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "cancel-is-retried", clause("OSError", "raise CancelExecution('no')"), ERROR, "retry=False"
    )
    check_finds(
        "cancel-is-retried", clause("OSError", "raise CancelExecution"), ERROR, "retry=False"
    )
    check_ignores("cancel-is-retried", clause("OSError", "raise CancelExecution(retry=False)"))
    check_ignores("cancel-is-retried", clause("OSError", "raise CancelExecution()", "retries=0"))


PERMANENT_KEPT = {
    "cancelled": clause("mailer.BadAddress", "raise CancelExecution(retry=False) from error"),
    "no retry left": clause("mailer.BadAddress", "task.retries = 0\nraise"),
    "ended": clause("mailer.BadAddress", "dead_jobs.record(order_id)"),
    "tried once": PLAIN,
}
PERMANENT_RETRIED = {
    "not caught": RETRIED,
    "raised again": clause("mailer.BadAddress", "raise"),
    "another is caught": clause("mailer.Unavailable", "raise CancelExecution(retry=False)"),
    "converted": clause("mailer.BadAddress", "raise ValueError() from error"),
    "cancelled with retries": clause("mailer.BadAddress", "raise CancelExecution()"),
}


def test_permanent_retried(check_finds: Check, check_ignores: Check) -> None:
    for text in PERMANENT_RETRIED.values():
        check_finds("permanent-retried", text, ERROR, "shop.mailer:BadAddress")
    for text in PERMANENT_KEPT.values():
        check_ignores("permanent-retried", text)
    either = clause("mailer.BadAddress", "if odd(error):\n    raise\nreturn")
    check_finds("permanent-retried", either, NOTE, "may be run again")
    wrapped = RETRIED.replace("def send", "@own\ndef send")
    check_finds("permanent-retried", wrapped, NOTE, "may be run again")


def test_transient_given_up(check_finds: Check, check_ignores: Check) -> None:
    spec = {"failures": {"transient": ["TimeoutError"], "permanent": []}}
    stop = "raise CancelExecution(retry=False)"
    check_finds("transient-given-up", clause("OSError", stop), ERROR, "TimeoutError", spec=spec)
    check_ignores("transient-given-up", clause("ValueError", stop), spec=spec)
    check_ignores("transient-given-up", clause("OSError", "raise"), spec=spec)


def test_swallowed_exception(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "swallowed-exception",
        clause("mailer.Unavailable", "return {}"),
        ERROR,
        "Huey calls the task complete",
    )
    check_ignores("swallowed-exception", clause("mailer.Unavailable", "raise"))
    check_ignores("swallowed-exception", clause("mailer.BadAddress", "return {}"))


def test_permanent_not_recorded(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "permanent-not-recorded",
        clause("mailer.BadAddress", "return None"),
        ERROR,
        "without a dead letter",
    )
    check_ignores(
        "permanent-not-recorded", clause("mailer.BadAddress", "dead_jobs.record(order_id)")
    )


def test_waits(check_finds: Check, check_ignores: Check) -> None:
    without = PLAIN.replace("task()", "task(retries=3, retry_backoff=2)")
    check_finds("backoff-without-delay", without, ERROR, "retry_backoff=2")
    check_ignores("backoff-without-delay", RETRIED)
    at_once, flat = (
        PLAIN.replace("task()", "task(retries=3)"),
        PLAIN.replace("task()", "task(retries=3, retry_delay=60)"),
    )
    check_finds("retry-without-delay", at_once, WARNING, "no retry_delay")
    for text in (without, flat, RETRIED, PLAIN):
        check_ignores("retry-without-delay", text)
    check_finds("flat-backoff", flat, WARNING, "60 s")
    for text in (RETRIED, at_once, PLAIN.replace("task()", "task(retries=1, retry_delay=60)")):
        check_ignores("flat-backoff", text)


def test_retries_differ(check_finds: Check, check_ignores: Check) -> None:
    two = "send_receipt(1)\n    send_receipt(2, retries=9)"
    check_finds("retries-differ", RETRIED, WARNING, "retries is 3 here, elsewhere 9", **orders(two))
    check_ignores(
        "retries-differ", RETRIED, **orders("send_receipt(1)\n    send_receipt.s(2, retries=3)")
    )
    check_ignores("retries-differ", RETRIED, **orders("send_receipt(2, retries=9)"))


def test_record_every_attempt(check_finds: Check, check_ignores: Check) -> None:
    signal = (
        "\n@huey.signal('error')\ndef failed(signal, task, exc):\n    {}dead_jobs.record(task)\n"
    )
    check_finds("record-every-attempt", RETRIED + signal.format(""), WARNING, "SIGNAL_ERROR")
    check_ignores("record-every-attempt", RETRIED + signal.format("if task.retries == 0: "))
    check_ignores("record-every-attempt", PLAIN + signal.format(""))
    linked = orders("huey.enqueue(send_receipt.s(1).error(bury))", "from shop.app import huey")
    check_finds("record-every-attempt", RETRIED, WARNING, "on_error", **linked)
    waits = APP.replace('"shop"', '"shop", store_intermediate_errors=False')
    check_ignores("record-every-attempt", RETRIED, app=waits, **linked)
    check_finds(
        "record-every-attempt",
        clause("OSError", "dead_jobs.record(1)\nraise"),
        WARNING,
        "the except clause",
    )


# Locks, timeouts, schedules


LOCKED = NIGHTLY.replace("def send", "@huey.lock_task('x')\ndef send")
INSIDE = (
    "@huey.task(retries=2)\ndef send_receipt(o):\n    with huey.lock_task(f'x-{o}'):\n       "
    " mailer.send(o)\n"
)


def test_stale_lock(check_finds: Check, check_ignores: Check) -> None:
    flush = {"Procfile": "worker: huey_consumer shop.app.huey -w 2 -f\n"}
    check_finds("stale-lock", LOCKED, WARNING, "stays locked", **CONSUMER)
    check_ignores("stale-lock", LOCKED, **flush)
    check_finds("stale-lock", INSIDE, WARNING, "made at import", **flush)
    check_ignores("stale-lock", INSIDE.replace("{o}'", "{o}', ttl=60"))
    check_ignores("stale-lock", NIGHTLY)


def test_lock_ttl(check_finds: Check, check_ignores: Check) -> None:
    timed = INSIDE.replace("{o}'", "{o}', ttl=60").replace("retries=2", "retries=2, timeout=90")
    check_finds("lock-ttl", timed, ERROR, "NotImplementedError", app=SQLITE)
    check_finds("lock-ttl", timed, WARNING, "60 s (1 min) at most")
    check_ignores("lock-ttl", timed.replace("90", "30"))
    check_ignores("lock-ttl", INSIDE, app=SQLITE)


def test_locked_job_lost(check_finds: Check, check_ignores: Check) -> None:
    check_finds("locked-job-lost", INSIDE.replace("retries=2", ""), WARNING, "never runs")
    check_ignores("locked-job-lost", INSIDE)
    check_ignores("locked-job-lost", LOCKED)


def test_timeout_not_enforced(check_finds: Check, check_ignores: Check) -> None:
    timed = PLAIN.replace("task()", "task(timeout=60)")
    check_finds("timeout-not-enforced", timed, WARNING, "do not interrupt", **CONSUMER)
    check_ignores(
        "timeout-not-enforced",
        timed,
        Procfile="worker: huey_consumer.py shop.app.huey -k process\n",
    )
    check_ignores("timeout-not-enforced", PLAIN, **CONSUMER)
    asks = (
        "@huey.task(timeout=60, context=True)\ndef send_receipt(o, task):\n   "
        " task.check_timeout()\n"
    )
    check_ignores("timeout-not-enforced", asks, **CONSUMER)


def test_immediate(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "immediate",
        PLAIN,
        WARNING,
        "immediate mode",
        app=APP.replace('"shop"', '"shop", immediate=True'),
    )
    for value in ("False", "DEBUG"):
        check_ignores("immediate", PLAIN, app=APP.replace('"shop"', f'"shop", immediate={value}'))


def test_crontab_minute(check_finds: Check, check_ignores: Check) -> None:
    check_finds("crontab-minute", NIGHTLY.replace("minute='0', ", ""), WARNING, "every minute")
    check_ignores("crontab-minute", NIGHTLY)
    check_ignores("crontab-minute", NIGHTLY.replace("minute='0', hour='3'", ""))
    check_ignores("crontab-minute", NIGHTLY.replace("minute='0', hour='3'", "'5', '3'"))


def test_period_overlap(check_finds: Check, check_ignores: Check) -> None:
    often = NIGHTLY.replace("minute='0', hour='3'", "minute='*/5'")
    check_finds(
        "period-overlap", often.replace("'*/5')", "'*/5'), timeout=600"), WARNING, "two run at once"
    )
    check_finds("period-overlap", often.replace("*/5", "*"), NOTE, "nothing bounds")
    for text in (often, NIGHTLY, LOCKED.replace("minute='0', hour='3'", "minute='*'")):
        check_ignores("period-overlap", text)


# How it is defined and published


def test_never_runs(check_finds: Check, check_ignores: Check) -> None:
    check_finds("never-runs", PLAIN.replace("()", "", 1), ERROR, "parentheses")
    check_finds("never-runs", PLAIN.replace("def", "async def"), ERROR, "async")
    check_finds("never-runs", PLAIN.replace("task()", "task(context=True)"), ERROR, "does not take")
    check_finds(
        "never-runs", NIGHTLY.replace("send_receipt()", "send_receipt(day)"), ERROR, "needs day"
    )
    for text in (
        PLAIN,
        NIGHTLY,
        NIGHTLY.replace("send_receipt()", "send_receipt(day=None)"),
        clause("OSError", "raise"),
    ):
        check_ignores("never-runs", text)


def test_reserved_argument(check_finds: Check, check_ignores: Check) -> None:
    text = "@huey.task()\ndef send_receipt(order_id, priority=1, id=0): ...\n"
    check_finds(
        "reserved-argument", text, ERROR, "priority=", **orders("send_receipt(1, priority=2)")
    )
    check_finds("reserved-argument", text, WARNING, "in Huey 3", **orders("send_receipt(1, id=2)"))
    check_ignores("reserved-argument", text, **orders("send_receipt(1, 2, 3)"))
    check_ignores("reserved-argument", PLAIN, **orders("send_receipt(1, priority=2)"))


def test_publish_in_transaction(check_finds: Check, check_ignores: Check) -> None:
    head = "from django.db import transaction"
    inside = "with transaction.atomic():\n        "
    check_finds(
        "publish-in-transaction",
        PLAIN,
        ERROR,
        "before the commit",
        **orders(f"{inside}send_receipt(1)", head),
    )
    later = orders(f"{inside}transaction.on_commit(lambda: send_receipt(1))", head)
    check_ignores("publish-in-transaction", PLAIN, **later)
    check_ignores("publish-in-transaction", PLAIN, **orders(f"{inside}send_receipt.s(1)", head))
    waits = "from huey.contrib.djhuey import on_commit_task\n" + PLAIN.replace(
        "huey.task", "on_commit_task"
    )
    check_ignores("publish-in-transaction", waits, **orders(f"{inside}send_receipt(1)", head))


def test_publish_unkeyed(check_finds: Check, check_ignores: Check) -> None:
    other = "@huey.task()\ndef track(o): ...\n\ndef note(o): ...\n"
    check_finds(
        "publish-unkeyed", other + RETRIED + "    track(order_id)\n", WARNING, "track is enqueued"
    )
    check_ignores("publish-unkeyed", other + RETRIED + "    note(order_id)\n")
    check_ignores("publish-unkeyed", other + PLAIN + "    track(order_id)\n")


def test_wrong_arguments(check_finds: Check, check_ignores: Check) -> None:
    two = orders("send_receipt(order, 1)")
    check_finds("wrong-arguments", PLAIN, ERROR, "2 arguments for a task that takes 1", **two)
    none = orders("send_receipt.schedule(delay=9)")
    check_finds("wrong-arguments", PLAIN, ERROR, "order_id is missing", **none)
    check_ignores("wrong-arguments", PLAIN, **orders("send_receipt(order, delay=9, retries=3)"))
    check_ignores("wrong-arguments", PLAIN, **orders("send_receipt.schedule(args, delay=9)"))
    # Huey itself passes `task`.
    with_context = clause("OSError", "raise")
    check_ignores("wrong-arguments", with_context, **orders("send_receipt(order)"))
    check_ignores("wrong-arguments", PLAIN, **orders("send_receipt.s(order).then(send_receipt)"))


def test_object_argument(check_finds: Check, check_ignores: Check) -> None:
    model = "from django.db import models\nclass Order(models.Model): ...\n"
    check_finds(
        "object-argument",
        PLAIN,
        WARNING,
        "stale",
        **orders("send_receipt(Order.objects.get(pk=1))", model),
    )
    check_ignores("object-argument", PLAIN, **orders("send_receipt(order.id)", model))


def test_pickle_serializer(check_finds: Check, check_ignores: Check) -> None:
    check_finds("pickle-serializer", PLAIN, NOTE, "pickled")
    check_ignores("pickle-serializer", PLAIN, app=SQLITE)
    signed = APP.replace('"shop"', '"shop", serializer=SignedSerializer(secret=KEY)')
    check_ignores("pickle-serializer", PLAIN, app=signed)
