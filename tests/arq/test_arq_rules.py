"""Each static rule of arq on code that has the mistake, and on code that looks like it and is
right.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from arq_repo import SPEC, WORKER, findings, open_shop
from rule_checks import Check, make_checks

from skillrun.core.verdict import Severity
from skillrun.frameworks.arq import FRAMEWORK

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
HEAD = "from arq import Retry\nfrom shop import dead_jobs, mailer\nATTEMPTS = 5\n"
GROWING = "raise Retry(defer=2 ** ctx['job_try']) from error"
check_finds, check_ignores = make_checks("arq", HEAD, open_shop, findings)


def clause(end: str, caught: str = "(mailer.Unavailable, TimeoutError)", more: str = "") -> str:
    """A handler whose effect stands in a try with one clause, or `more`."""
    inner = textwrap.indent(textwrap.dedent(end).strip("\n"), "        ")
    return (
        "async def send_receipt(ctx, order_id, email=''):\n    try:\n        await"
        f" mailer.send(order_id)\n    except {caught} as error:\n{inner}\n{more}"
    )


PLAIN = "async def send_receipt(ctx, order_id, email=''):\n    await mailer.send(order_id)\n"
BOUNDED = clause(
    "if ctx['job_try'] >= ATTEMPTS:\n    await dead_jobs.record(order_id, error)\n   "
    f" return\n{GROWING}"
)
REJECTED = (
    "    except mailer.BadAddress as error:\n        await dead_jobs.record(order_id, error)\n"
)


def listed(entry: str, more: str = "", kind: str = "functions") -> str:
    """A worker with one entry."""
    fields = f"    {kind} = [{entry}]\n" + textwrap.indent(more, "    ")
    return (
        f"from arq import cron, func\nfrom shop.tasks import *\n\nclass WorkerSettings:\n{fields}"
    )


def orders(call: str, head: str = "") -> str:
    return f"{head}\nasync def settle(redis, order_id):\n    {call}\n"


def test_every_rule_has_a_pair() -> None:
    # Where a line is broken says nothing.
    text = "".join(Path(__file__).read_text("utf-8").split())
    # Tested with Celery.
    shared = {
        "arq.check-then-act",
        "arq.select-for-update-outside-transaction",
    }
    for rule in {rule.id for rule in FRAMEWORK.list_rules()} - shared:
        for check in ("finds", "ignores"):
            assert f'check_{check}("{rule.removeprefix("arq.")}"' in text, (rule, check)


# What becomes of a failure


def test_plain_exception(check_finds: Check, check_ignores: Check) -> None:
    one = {**SPEC["failures"], "transient": ["TimeoutError"]}
    check_finds("plain-exception", PLAIN, ERROR, "leaves the handler", spec={"failures": one})
    check_finds(
        "plain-exception",
        clause("raise"),
        ERROR,
        "raised again from this clause",
        spec={"failures": one},
    )
    check_ignores("plain-exception", BOUNDED)
    check_ignores(
        "plain-exception",
        clause("await again(ctx, error)") + f"async def again(ctx, error):\n    {GROWING}\n",
    )
    check_ignores("plain-exception", "from tenacity import retry\n" + PLAIN)
    check_ignores(
        "plain-exception", PLAIN, spec={"retry": {"kind": "none", "reason": "one is all"}}
    )


def test_permanent_retried(check_finds: Check, check_ignores: Check) -> None:
    check_finds("permanent-retried", clause(GROWING, "Exception"), ERROR, "permanent in the spec")
    check_ignores(
        "permanent-retried",
        clause(GROWING, "Exception").replace("    except", REJECTED + "    except", 1),
    )
    asked = clause(f"if is_passing(error):\n    {GROWING}", "Exception")
    check_finds("permanent-retried", asked, NOTE, "depends on a condition")


def test_swallowed_exception(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "swallowed-exception", clause("return {'ok': False}"), ERROR, "takes the job for done"
    )
    check_ignores("swallowed-exception", BOUNDED)


def test_retry_swallowed(check_finds: Check, check_ignores: Check) -> None:
    inside = (
        "async def send_receipt(ctx, order_id):\n    try:\n        raise Retry(defer=5)\n    except"
        " {}:\n        {}\n"
    )
    check_finds(
        "retry-swallowed", inside.format("Exception", "pass"), ERROR, "Retry is a RuntimeError"
    )
    check_ignores("retry-swallowed", inside.format("ValueError", "pass"))
    check_ignores("retry-swallowed", inside.format("Exception", "raise"))
    check_ignores("retry-swallowed", clause(GROWING, "Exception"))


def test_retry_jobs_off(check_finds: Check, check_ignores: Check) -> None:
    off = listed("send_receipt", "retry_jobs = False\n")
    check_finds("retry-jobs-off", BOUNDED, ERROR, "retry_jobs=False", worker=off)
    check_ignores("retry-jobs-off", PLAIN, worker=off)
    check_ignores("retry-jobs-off", BOUNDED, worker=listed("send_receipt", "retry_jobs = True\n"))


def test_retry_without_defer(check_finds: Check, check_ignores: Check) -> None:
    check_finds("retry-without-defer", clause("raise Retry() from error"), WARNING, "without defer")
    check_finds("retry-without-defer", clause("raise Retry(defer=0)"), WARNING, "without defer")
    check_ignores("retry-without-defer", clause("raise Retry(5)"))


def test_flat_defer(check_finds: Check, check_ignores: Check) -> None:
    check_finds("flat-defer", clause("raise Retry(defer=5)"), WARNING, "the same before every try")
    check_ignores("flat-defer", clause(GROWING))
    fixed = {"max_attempts": 5, "backoff": {"kind": "fixed", "base": "5s"}}
    check_ignores("flat-defer", clause("raise Retry(defer=5)"), spec={"retry": fixed})


def test_tries_below_spec(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "tries-below-spec",
        BOUNDED,
        ERROR,
        "max_tries is 3",
        worker=listed("func(send_receipt, max_tries=3)"),
    )
    nightly = listed("cron(send_receipt, hour=3, minute=0)", kind="cron_jobs")
    check_finds("tries-below-spec", BOUNDED, ERROR, "max_tries is 1 by default", worker=nightly)
    check_ignores("tries-below-spec", BOUNDED)
    check_ignores("tries-below-spec", PLAIN, worker=nightly)


def test_expires_before_retries(check_finds: Check, check_ignores: Check) -> None:
    send = 'await redis.enqueue_job("send_receipt", order_id{})'
    soon = orders(send.format(", _expires=20"))
    check_finds("expires-before-retries", BOUNDED, ERROR, "_expires is 20 s", orders=soon)
    check_ignores("expires-before-retries", BOUNDED, orders=orders(send.format("")))
    daily = BOUNDED.replace("2 ** ctx['job_try']", "86400")
    check_finds(
        "expires-before-retries",
        daily,
        ERROR,
        "expires after 86400 s",
        orders=orders(send.format("")),
    )


# The end of a job


def test_last_try_unheard(check_finds: Check, check_ignores: Check) -> None:
    check_finds("last-try-unheard", clause(GROWING), ERROR, "at the last try too")
    check_ignores("last-try-unheard", BOUNDED)
    late = clause(
        f"if ctx['job_try'] < LIMIT():\n    {GROWING}\nawait dead_jobs.record(order_id, error)"
    )
    check_ignores("last-try-unheard", late)
    busy = BOUNDED.replace(
        "    try:", "    if locked(order_id):\n        raise Retry(defer=95)\n    try:", 1
    )
    check_finds("last-try-unheard", busy, WARNING, "at the last try too")
    check_ignores(
        "last-try-unheard",
        clause(GROWING),
        spec={"dead_letter": {"kind": "none", "reason": "may be lost"}},
    )


def test_no_room_for_deaths(check_finds: Check, check_ignores: Check) -> None:
    check_finds("no-room-for-deaths", BOUNDED, WARNING, "at try 5")
    check_ignores(
        "no-room-for-deaths", BOUNDED, worker=listed("func(send_receipt, max_tries=ATTEMPTS + 5)")
    )
    check_ignores("no-room-for-deaths", clause(GROWING))


def test_permanent_not_recorded(check_finds: Check, check_ignores: Check) -> None:
    dropped = "    except mailer.BadAddress:\n        return\n"
    check_finds("permanent-not-recorded", clause(GROWING, more=dropped), ERROR, "BadAddress")
    check_ignores("permanent-not-recorded", clause(GROWING, more=REJECTED))


def test_a_record_that_a_thread_writes_is_one(check_finds: Check, check_ignores: Check) -> None:
    kept = "    await asyncio.to_thread({}, order_id)\n    raise Retry(defer=9) from error"
    threads = "import asyncio, logging\nfrom shop import dead_jobs\n"
    check_finds(
        "failure-unrecorded",
        threads + clause(kept.format("logging.error")),
        WARNING,
        "nothing is recorded",
    )
    check_ignores("failure-unrecorded", threads + clause(kept.format("dead_jobs.record")))


def test_failure_unrecorded(check_finds: Check, check_ignores: Check) -> None:
    check_finds("failure-unrecorded", PLAIN, WARNING, "gone after 3600 s")
    check_ignores("failure-unrecorded", BOUNDED)
    hook = (
        "from arq.jobs import Job\nfrom shop import dead_jobs\n\nasync def ended(ctx):\n"
        + textwrap.indent(
            "info = await Job(ctx['job_id'], ctx['redis']).result_info()\n"
            "if not info.success:\n    await dead_jobs.record(info.args, info.result)\n",
            "    ",
        )
    )
    kept = listed("send_receipt", "after_job_end = ended\n").replace(
        "\n\nclass", "\nfrom shop.ends import ended\n\nclass"
    )
    check_ignores("failure-unrecorded", PLAIN, worker=kept, ends=hook)


def test_job_id_in_the_way(check_finds: Check, check_ignores: Check) -> None:
    keyed = orders(
        'return await redis.enqueue_job("send_receipt", order_id, _job_id=f"r{order_id}")'
    )
    check_finds("job-id-in-the-way", BOUNDED, NOTE, "for 3600 s", orders=keyed)
    check_ignores(
        "job-id-in-the-way",
        BOUNDED,
        orders=keyed,
        worker=listed("func(send_receipt, keep_result=0)"),
    )
    check_ignores(
        "job-id-in-the-way",
        BOUNDED,
        orders=orders('await redis.enqueue_job("send_receipt", order_id)'),
    )


def test_hook_ends_worker(check_finds: Check, check_ignores: Check) -> None:
    hook = "from shop import mailer\n\nasync def ended(ctx):\n    {}\n"
    worker = listed("send_receipt", "on_job_end = ended\n").replace(
        "\n\nclass", "\nfrom shop.ends import ended\n\nclass"
    )
    bare = hook.format("await mailer.send(1)")
    check_finds("hook-ends-worker", BOUNDED, WARNING, "on_job_end", worker=worker, ends=bare)
    guarded = hook.format("try:\n        await mailer.send(1)\n    except Exception:\n        pass")
    check_ignores("hook-ends-worker", BOUNDED, worker=worker, ends=guarded)


# How it is enqueued


def test_never_runs(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "never-runs", "def send_receipt(ctx, order_id): ...\n", ERROR, "no coroutine function"
    )
    check_finds("never-runs", "async def send_receipt(): ...\n", ERROR, "takes no ctx")
    check_ignores("never-runs", PLAIN)
    check_ignores("never-runs", "@asynchronous\ndef send_receipt(ctx, order_id): ...\n")


def test_inherited_settings(check_finds: Check, check_ignores: Check) -> None:
    base = WORKER.replace(
        "class WorkerSettings:",
        "class Base:\n        max_tries = 9\n\n    class WorkerSettings(Base):",
    )
    check_finds("inherited-settings", PLAIN, ERROR, "inherits max_tries", worker=base)
    own = base.replace("functions =", "max_tries = Base.max_tries\n        functions =")
    check_ignores("inherited-settings", PLAIN, worker=own)


def test_unknown_name(check_finds: Check, check_ignores: Check) -> None:
    named = listed("func(send_receipt, name='receipts')")
    check_finds(
        "unknown-name",
        PLAIN,
        ERROR,
        "'send_receipt'",
        worker=named,
        orders=orders('await redis.enqueue_job("send_receipt", order_id)'),
    )
    check_ignores(
        "unknown-name",
        PLAIN,
        worker=named,
        orders=orders('await redis.enqueue_job("receipts", order_id)'),
    )
    check_ignores(
        "unknown-name",
        PLAIN,
        orders=orders(
            "await redis.enqueue_job(send_receipt.__name__, order_id)",
            "from shop.tasks import send_receipt",
        ),
    )


def test_unread_queue(check_finds: Check, check_ignores: Check) -> None:
    send = orders('await redis.enqueue_job("send_receipt", order_id, _queue_name="slow")')
    check_finds("unread-queue", PLAIN, ERROR, "the queue slow", orders=send)
    check_ignores(
        "unread-queue", PLAIN, orders=send, worker=listed("send_receipt", "queue_name = 'slow'\n")
    )


def test_not_awaited(check_finds: Check, check_ignores: Check) -> None:
    bare = orders('redis.enqueue_job("send_receipt", order_id)')
    check_finds("not-awaited", PLAIN, ERROR, "not awaited", orders=bare)
    check_ignores(
        "not-awaited", PLAIN, orders=orders('await redis.enqueue_job("send_receipt", order_id)')
    )
    check_ignores(
        "not-awaited", PLAIN, orders=orders('return redis.enqueue_job("send_receipt", order_id)')
    )


def test_wrong_arguments(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "wrong-arguments",
        PLAIN,
        ERROR,
        "missing",
        orders=orders('await redis.enqueue_job("send_receipt")'),
    )
    given = 'await redis.enqueue_job("send_receipt", order_id, email="a", _defer_by=5)'
    check_ignores("wrong-arguments", PLAIN, orders=orders(given))


def test_publish_in_transaction(check_finds: Check, check_ignores: Check) -> None:
    held = (
        "async def settle(redis, order_id):\n    async with engine.begin() as c:\n        {}\n   "
        " {}\n"
    )
    head = (
        "from sqlalchemy.ext.asyncio import create_async_engine\nengine ="
        " create_async_engine('x')\n\n"
    )
    send = 'await redis.enqueue_job("send_receipt", order_id)'
    check_finds(
        "publish-in-transaction",
        PLAIN,
        ERROR,
        "inside a transaction",
        orders=head + held.format(send, "pass"),
    )
    check_ignores("publish-in-transaction", PLAIN, orders=head + held.format("pass", send))


def test_dedupe_forgotten(check_finds: Check, check_ignores: Check) -> None:
    keyed = orders(
        'return await redis.enqueue_job("send_receipt", order_id, _job_id=f"r{order_id}")'
    )
    check_finds("dedupe-forgotten", PLAIN, WARNING, "3600 s (1 h) after it ends", orders=keyed)
    none = listed("func(send_receipt, keep_result=0)")
    check_finds("dedupe-forgotten", PLAIN, NOTE, "keep_result is 0", orders=keyed, worker=none)
    check_ignores(
        "dedupe-forgotten",
        PLAIN,
        orders=keyed,
        worker=listed("func(send_receipt, keep_result=8 * 86400)"),
    )
    check_ignores(
        "dedupe-forgotten",
        PLAIN,
        orders=orders('await redis.enqueue_job("send_receipt", order_id)'),
    )


def test_none_ignored(check_finds: Check, check_ignores: Check) -> None:
    keyed = 'await redis.enqueue_job("send_receipt", order_id, _job_id="r1")'
    check_finds("none-ignored", PLAIN, NOTE, "returns None", orders=orders(keyed))
    check_ignores("none-ignored", PLAIN, orders=orders(f"job = {keyed}"))
    check_ignores(
        "none-ignored", PLAIN, orders=orders('await redis.enqueue_job("send_receipt", order_id)')
    )


def test_publish_unkeyed(check_finds: Check, check_ignores: Check) -> None:
    chain = PLAIN + "    await ctx['redis'].enqueue_job('archive', order_id{})\n"
    check_finds("publish-unkeyed", chain.format(""), WARNING, "each run enqueues once more")
    check_ignores("publish-unkeyed", chain.format(", _job_id=f'archive-{order_id}'"))


def test_object_argument(check_finds: Check, check_ignores: Check) -> None:
    head = "from django.db import models\n\nclass Order(models.Model): ...\n"
    row = 'order = Order.objects.get(id=order_id)\n    await redis.enqueue_job("send_receipt", {})'
    check_finds(
        "object-argument",
        PLAIN,
        WARNING,
        "pickled as it is now",
        orders=orders(row.format("order"), head),
    )
    check_ignores("object-argument", PLAIN, orders=orders(row.format("order.id"), head))


def test_pickle_serializer(check_finds: Check, check_ignores: Check) -> None:
    check_finds("pickle-serializer", PLAIN, NOTE, "pickled")
    check_ignores(
        "pickle-serializer", PLAIN, worker=listed("send_receipt", "job_deserializer = loads\n")
    )


SESSIONS = (
    "from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker\nSessions ="
    " async_sessionmaker(engine)\n\n"
)


@pytest.mark.parametrize("made", ["Sessions()", "AsyncSession(engine)", "await Sessions()"])
def test_shared_session(check_finds: Check, check_ignores: Check, made: str) -> None:
    worker = listed("send_receipt", "on_startup = up\n").replace(
        "\n\nclass", "\nfrom shop.ups import up\n\nclass"
    )
    used = PLAIN + "    await ctx['db'].commit()\n"
    up = f"{SESSIONS}async def up(ctx):\n    ctx['db'] = {{}}\n"
    check_finds(
        "shared-session",
        used,
        ERROR,
        "one session for all jobs",
        worker=worker,
        ups=up.format(made),
    )
    check_ignores("shared-session", used, worker=worker, ups=up.format("Sessions"))
    check_ignores(
        "shared-session", used, worker=worker, ups=up.format("async_sessionmaker(engine)")
    )
    check_ignores("shared-session", PLAIN, worker=worker, ups=up.format(made))


# Cron jobs


def test_cron_not_unique(check_finds: Check, check_ignores: Check) -> None:
    job = "cron(send_receipt, hour=3, minute=0{})"
    check_finds(
        "cron-not-unique",
        PLAIN,
        WARNING,
        "every worker",
        worker=listed(job.format(", unique=False"), kind="cron_jobs"),
    )
    check_ignores("cron-not-unique", PLAIN, worker=listed(job.format(""), kind="cron_jobs"))


def test_cron_at_startup(check_finds: Check, check_ignores: Check) -> None:
    job = "cron(send_receipt, hour=3, minute=0, run_at_startup={})"
    check_finds(
        "cron-at-startup",
        PLAIN,
        WARNING,
        "each deployment",
        worker=listed(job.format(True), kind="cron_jobs"),
    )
    check_ignores("cron-at-startup", PLAIN, worker=listed(job.format(False), kind="cron_jobs"))


def test_cron_every_second(check_finds: Check, check_ignores: Check) -> None:
    for fields, words in (("hour=3", "every minute"), ("minute=0, second=None", "every second")):
        check_finds(
            "cron-every-second",
            PLAIN,
            WARNING,
            words,
            worker=listed(f"cron(send_receipt, {fields})", kind="cron_jobs"),
        )
    check_ignores(
        "cron-every-second",
        PLAIN,
        worker=listed("cron(send_receipt, hour=3, minute=0)", kind="cron_jobs"),
    )
    check_ignores(
        "cron-every-second",
        PLAIN,
        worker=listed("cron(send_receipt, minute={0, 30})", kind="cron_jobs"),
    )
