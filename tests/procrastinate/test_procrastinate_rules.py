"""Each static rule of Procrastinate on code that has the mistake, and on code that looks like it
and is right.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from procrastinate_repo import QUEUE, SPEC, STALLED, findings, open_shop
from rule_checks import Check, make_checks

from skillrun.core.verdict import Severity
from skillrun.frameworks.procrastinate import FRAMEWORK

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
HEAD = (
    "from procrastinate import RetryStrategy\nfrom shop import dead_jobs, mailer\nfrom shop.queue"
    " import app\nPASSING = (mailer.Unavailable, TimeoutError)\n"
)
check_finds, check_ignores = make_checks("procrastinate", HEAD, open_shop, findings)


def task(
    options: str = "",
    body: str = "mailer.send(order_id)",
    above: str = "",
    taken: str = "order_id, email=''",
) -> str:
    inner = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    return f"{above}\n@app.task({options})\ndef send_receipt({taken}):\n{inner}\n"


def clause(end: str, caught: str = "PASSING", more: str = "") -> str:
    """A body whose effect stands in a try with one clause, or `more`."""
    inner = textwrap.indent(textwrap.dedent(end).strip("\n"), "    ")
    return f"try:\n    mailer.send(order_id)\nexcept {caught} as error:\n{inner}\n{more}"


def strategy(arguments: str) -> str:
    return f"retry=RetryStrategy({arguments})"


def orders(call: str, head: str = "", kind: str = "async def") -> str:
    return f"from shop.tasks import send_receipt\n{head}\n{kind} settle(order_id):\n    {call}\n"


GOOD = strategy("max_attempts=4, exponential_wait=2, retry_exceptions=PASSING")


def test_every_rule_has_a_pair() -> None:
    text = re.sub(r"\(\s+", "(", Path(__file__).read_text())
    shared = {"check-then-act", "select-for-update-outside-transaction"}  # tested with Celery
    for rule in {rule.id.partition(".")[2] for rule in FRAMEWORK.list_rules()} - shared:
        for check in ("finds", "ignores"):
            assert f'check_{check}("{rule}"' in text, (rule, check)


# The jobs of workers that died


def test_stalled_never_retried(check_finds: Check, check_ignores: Check) -> None:
    check_finds("stalled-never-retried", task(), ERROR, "stays `doing`", stalled="")
    none = {"retry": {"kind": "none", "reason": "one is all"}}
    check_finds("stalled-never-retried", task(), WARNING, "stays `doing`", stalled="", spec=none)
    check_ignores("stalled-never-retried", task())


def test_lock_held_for_ever(check_finds: Check, check_ignores: Check) -> None:
    site = orders(
        "send_receipt.configure(lock=f'order-{order_id}').defer(order_id=order_id)", kind="def"
    )
    check_finds("lock-held-for-ever", task("lock='mail'"), ERROR, "keeps this lock", stalled="")
    check_finds("lock-held-for-ever", task(), ERROR, "keeps this lock", stalled="", orders=site)
    check_ignores("lock-held-for-ever", task("lock='mail'"))
    check_ignores("lock-held-for-ever", task("queueing_lock='mail'"), stalled="")


def test_stalled_by_age(check_finds: Check, check_ignores: Check) -> None:
    by_age = STALLED.replace("get_stalled_jobs()", "get_stalled_jobs(nb_seconds=600)")
    check_finds("stalled-by-age", task(), WARNING, "only slow", stalled=by_age)
    check_ignores("stalled-by-age", task())
    check_ignores(
        "stalled-by-age", task(), stalled=by_age.replace("nb_seconds", "seconds_since_heartbeat")
    )


def test_stalled_unbounded(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "stalled-unbounded",
        task(),
        NOTE,
        "for ever",
        stalled=STALLED.replace("job.attempts", "job.id"),
    )
    check_ignores("stalled-unbounded", task())


def test_recovery_not_scheduled(check_finds: Check, check_ignores: Check) -> None:
    tick = '    @app.periodic(cron="*/10 * * * *")\n'
    check_finds(
        "recovery-not-scheduled", task(), WARNING, "who does", stalled=STALLED.replace(tick, "")
    )
    check_ignores("recovery-not-scheduled", task())
    called = (
        "from shop.queue import app\nasync def give_back():\n    await"
        " app.job_manager.get_stalled_jobs()\n@app.periodic(cron='0 * * * *')\n@app.task\nasync def"
        " tick(timestamp):\n    await give_back()\n"
    )
    check_ignores("recovery-not-scheduled", task(), stalled=called)


# What is retried, how often, and when


def test_retry_unbounded(check_finds: Check, check_ignores: Check) -> None:
    for options in (
        "retry=True",
        strategy("wait=9"),
        strategy("max_attempts=0, wait=9"),
        strategy("max_attempts=None"),
    ):
        check_finds("retry-unbounded", task(options), ERROR, "nothing bounds")
    check_ignores("retry-unbounded", task("retry=0"))
    check_ignores("retry-unbounded", task(GOOD))
    bounded = clause("if context.job.attempts < 4:\n    raise")
    check_ignores("retry-unbounded", task("retry=True, pass_context=True", bounded))


def test_attempts_off_by_one(check_finds: Check, check_ignores: Check) -> None:
    check_finds("attempts-off-by-one", task("retry=5"), ERROR, "run 6 times")
    check_finds(
        "attempts-off-by-one", task(strategy("max_attempts=5, wait=1")), ERROR, "run 6 times"
    )
    check_ignores("attempts-off-by-one", task(GOOD))


def test_retry_at_once(check_finds: Check, check_ignores: Check) -> None:
    check_finds("retry-at-once", task("retry=4"), WARNING, "no wait")
    check_finds(
        "retry-at-once",
        task(strategy("max_attempts=4, linear_wait=5")),
        NOTE,
        "before the first retry",
    )
    check_ignores("retry-at-once", task(GOOD))
    check_ignores("retry-at-once", task())
    check_ignores("retry-at-once", task(strategy("max_attempts=4, linear_wait=5, wait=1")))


def test_flat_wait(check_finds: Check, check_ignores: Check) -> None:
    check_finds("flat-wait", task(strategy("max_attempts=4, wait=30")), WARNING, "same each time")
    check_finds("flat-wait", task(strategy("max_attempts=4, exponential_wait=1")), WARNING, "is 1")
    check_ignores("flat-wait", task(GOOD))
    check_ignores("flat-wait", task(strategy("max_attempts=4, wait=30, linear_wait=5")))
    flat = {**SPEC["retry"], "backoff": {"kind": "fixed", "base": "30s"}}
    check_ignores("flat-wait", task(strategy("max_attempts=4, wait=30")), spec={"retry": flat})


def test_permanent_retried(check_finds: Check, check_ignores: Check) -> None:
    every = strategy("max_attempts=4, exponential_wait=2")
    check_finds("permanent-retried", task(every), ERROR, "is permanent in the spec")
    check_finds(
        "permanent-retried",
        task(every, clause("raise", "mailer.BadAddress")),
        ERROR,
        "runs it again",
    )
    check_ignores("permanent-retried", task(GOOD))
    taken = clause(
        "raise", more="except mailer.BadAddress as error:\n    dead_jobs.record(order_id, error)\n"
    )
    check_ignores("permanent-retried", task(every, taken))
    check_ignores("permanent-retried", task())


def test_transient_not_retried(check_finds: Check, check_ignores: Check) -> None:
    some = strategy("max_attempts=4, retry_exceptions=[mailer.Unavailable]")
    one = {"failures": {**SPEC["failures"], "transient": ["TimeoutError"]}}
    check_finds("transient-not-retried", task(some), ERROR, "does not name it")
    check_finds("transient-not-retried", task(), ERROR, "has no retry", spec=one)
    check_ignores("transient-not-retried", task(GOOD))
    check_ignores("transient-not-retried", task("retry=4"))
    check_ignores(
        "transient-not-retried", task(), spec={"retry": {"kind": "none", "reason": "one is all"}}
    )


def test_swallowed_exception(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "swallowed-exception", task(GOOD, clause("return {'ok': False}")), ERROR, "`succeeded`"
    )
    check_ignores("swallowed-exception", task(GOOD, clause("raise")))


# The end of a job


def test_failure_unrecorded(check_finds: Check, check_ignores: Check) -> None:
    check_finds("failure-unrecorded", task(GOOD), WARNING, "`failed` is all")
    last = clause("if context.job.attempts >= 4:\n    dead_jobs.record(order_id, error)\nraise")
    check_ignores(
        "failure-unrecorded",
        task(f"{GOOD}, pass_context=True", last, taken="context, order_id, email=''"),
    )
    check_ignores("failure-unrecorded", task(GOOD), spec={"dead_letter": {"kind": "framework"}})


def test_failed_deleted(check_finds: Check, check_ignores: Check) -> None:
    own = {"dead_letter": {"kind": "framework"}}
    always = QUEUE.replace(
        "import_paths", "worker_defaults={'delete_jobs': 'always'}, import_paths"
    )
    check_finds("failed-deleted", task(GOOD), WARNING, "delete_jobs", spec=own, queue=always)
    removed = (
        "from shop.queue import app\nasync def tidy(remove_old_jobs):\n    await"
        " remove_old_jobs({})\n"
    )
    check_finds(
        "failed-deleted",
        task(GOOD),
        WARNING,
        "remove_failed",
        spec=own,
        tidy=removed.format("max_hours=9, remove_failed=True"),
    )
    check_ignores(
        "failed-deleted",
        task(GOOD),
        spec=own,
        tidy=removed.format("max_hours=9, remove_failed=False"),
    )
    check_ignores(
        "failed-deleted", task(GOOD), spec=own, queue=always.replace("always", "successful")
    )
    check_ignores("failed-deleted", task(GOOD), queue=always)


def test_permanent_not_recorded(check_finds: Check, check_ignores: Check) -> None:
    gone = clause("log.error('no')\nreturn", "mailer.BadAddress")
    kept = clause("dead_jobs.record(order_id, error)\nreturn", "mailer.BadAddress")
    check_finds("permanent-not-recorded", task(GOOD, gone), ERROR, "without a dead letter")
    check_ignores("permanent-not-recorded", task(GOOD, kept))


# How it is deferred


def test_positional_arguments(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "positional-arguments",
        task(),
        ERROR,
        "drops them",
        orders=orders("send_receipt.defer(order_id)"),
    )
    configured = orders("send_receipt.configure(lock='x').defer(order_id)")
    check_finds("positional-arguments", task(), ERROR, "TypeError", orders=configured)
    check_ignores(
        "positional-arguments", task(), orders=orders("send_receipt.defer(order_id=order_id)")
    )
    check_ignores(
        "positional-arguments", task(), orders=orders("send_receipt.batch_defer({'order_id': 1})")
    )


def test_wrong_arguments(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "wrong-arguments",
        task(),
        ERROR,
        "order_id is missing",
        orders=orders("send_receipt.defer(email='x')"),
    )
    check_finds(
        "wrong-arguments",
        task(),
        ERROR,
        "takes no copy",
        orders=orders("send_receipt.defer(order_id=1, copy=2)"),
    )
    check_ignores("wrong-arguments", task(), orders=orders("send_receipt.defer(order_id=1)"))
    with_context = task("pass_context=True", taken="context, order_id")
    check_ignores("wrong-arguments", with_context, orders=orders("send_receipt.defer(order_id=1)"))
    given = "send_receipt.configure(task_kwargs={'order_id': 1}).defer()"
    check_ignores("wrong-arguments", task(), orders=orders(given))


def test_not_awaited(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "not-awaited",
        task(),
        ERROR,
        "nothing is deferred",
        orders=orders("send_receipt.defer_async(order_id=1)"),
    )
    check_ignores(
        "not-awaited", task(), orders=orders("await send_receipt.defer_async(order_id=1)")
    )


def test_defer_in_coroutine(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "defer-in-coroutine",
        task(),
        ERROR,
        "in a coroutine",
        orders=orders("send_receipt.defer(order_id=1)"),
    )
    check_ignores(
        "defer-in-coroutine", task(), orders=orders("send_receipt.defer(order_id=1)", kind="def")
    )
    check_ignores(
        "defer-in-coroutine", task(), orders=orders("await send_receipt.defer_async(order_id=1)")
    )


def test_already_enqueued(check_finds: Check, check_ignores: Check) -> None:
    keyed = "send_receipt.configure(queueing_lock=str(order_id)).defer(order_id=order_id)"
    check_finds("already-enqueued", task(), WARNING, "raises AlreadyEnqueued", orders=orders(keyed))
    check_finds(
        "already-enqueued",
        task("queueing_lock='mail'"),
        WARNING,
        "raises AlreadyEnqueued",
        orders=orders("send_receipt.defer(order_id=1)"),
    )
    head = "from procrastinate.exceptions import AlreadyEnqueued\n"
    caught = f"try:\n        {keyed}\n    except AlreadyEnqueued:\n        pass"
    check_ignores("already-enqueued", task(), orders=orders(caught, head))
    check_ignores("already-enqueued", task(), orders=orders("send_receipt.defer(order_id=1)"))


def test_publish_in_transaction(check_finds: Check, check_ignores: Check) -> None:
    inside = "with transaction.atomic():\n        send_receipt.defer(order_id=1)"
    handed = (
        "with transaction.atomic():\n        send_receipt.configure(connection=c).defer(order_id=1)"
    )
    head = "from django.db import transaction\n"
    check_finds(
        "publish-in-transaction", task(), ERROR, "before the commit", orders=orders(inside, head)
    )
    check_ignores("publish-in-transaction", task(), orders=orders(handed, head))
    django = "from procrastinate.contrib.django import app\n"
    check_ignores("publish-in-transaction", task(), queue=django, orders=orders(inside, head))


def test_publish_unkeyed(check_finds: Check, check_ignores: Check) -> None:
    other = "@app.task\ndef thank(order_id): ...\n"
    check_finds(
        "publish-unkeyed", task("", "thank.defer(order_id=order_id)", other), WARNING, "once more"
    )
    keyed = "thank.configure(queueing_lock=str(order_id)).defer(order_id=order_id)"
    check_ignores("publish-unkeyed", task("", keyed, other))


def test_object_argument(check_finds: Check, check_ignores: Check) -> None:
    head = "from django.db import models\nclass Order(models.Model): ...\n"
    row = orders("order = Order()\n    send_receipt.defer(order_id=order)", head)
    check_finds("object-argument", task(), ERROR, "is a row of", orders=row)
    check_ignores(
        "object-argument", task(), orders=row.replace("order_id=order)", "order_id=order.pk)")
    )


# How a worker calls it


def test_periodic_timestamp(check_finds: Check, check_ignores: Check) -> None:
    tick = "@app.periodic(cron='0 4 * * *')"
    check_finds("periodic-timestamp", task(above=tick), ERROR, "takes no timestamp")
    check_ignores("periodic-timestamp", task(above=tick, taken="timestamp, order_id=1"))
    check_ignores("periodic-timestamp", task())


def test_periodic_overlap(check_finds: Check, check_ignores: Check) -> None:
    tick = "@app.periodic(cron='0 4 * * *')"
    check_finds("periodic-overlap", task(above=tick), NOTE, "beside the next one")
    check_ignores("periodic-overlap", task("queueing_lock='mail'", above=tick))
    check_ignores("periodic-overlap", task(above=tick.replace(")", ", lock='mail')")))


def test_shutdown_aborts(check_finds: Check, check_ignores: Check) -> None:
    timed = QUEUE.replace(
        "import_paths", "worker_defaults={'shutdown_graceful_timeout': 30}, import_paths"
    )
    coroutine = task(GOOD).replace("def send", "async def send")
    check_finds("shutdown-aborts", coroutine, WARNING, "is aborted", queue=timed)
    check_finds(
        "shutdown-aborts",
        task().replace("def send", "async def send"),
        WARNING,
        "is aborted",
        queue=timed,
    )
    check_ignores("shutdown-aborts", coroutine)
    check_ignores("shutdown-aborts", task(GOOD), queue=timed)
    check_ignores(
        "shutdown-aborts", coroutine.replace(", retry_exceptions=PASSING", ""), queue=timed
    )
    taken = coroutine.replace(
        "retry_exceptions=PASSING", "retry_exceptions=[TimeoutError, asyncio.CancelledError]"
    )
    check_ignores("shutdown-aborts", "import asyncio\n" + taken, queue=timed)


def test_task_not_imported(check_finds: Check, check_ignores: Check) -> None:
    alone = QUEUE.replace('"shop.tasks", ', "")
    check_finds("task-not-imported", task(), ERROR, "neither leads to shop.tasks", queue=alone)
    check_ignores("task-not-imported", task())
    leads = alone.replace('"shop.stalled"', '"shop.every"')
    check_ignores("task-not-imported", task(), queue=leads, every="import shop.tasks\n")
    check_ignores(
        "task-not-imported",
        task(),
        queue=alone.replace("import_paths=", "import_paths=found() or "),
    )
