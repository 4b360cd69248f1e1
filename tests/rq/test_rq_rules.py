"""Each static rule of RQ on code that has the mistake, and on code that looks like it and is
right.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rq_repo import findings, open_shop

from skillrun.core.verdict import Severity
from skillrun.frameworks.rq import FRAMEWORK as rq

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
PLAIN = "queue.enqueue(send_receipt, 7)\n"
SLOW = "queue.enqueue(send_receipt, 7, retry=Retry(max=3, interval=[10, 30, 60]))\n"
QUICK = "queue.enqueue(send_receipt, 7, retry=Retry(max=3))\n"
FRAMEWORK = {"dead_letter": {"kind": "framework"}}
Check = Callable[..., None]


@pytest.fixture
def check_finds(tmp_path: Path) -> Check:
    """`check_finds(rule, enqueue, severity, "words of the message", line=..., spec=..., tasks=...,
    module=text)`.
    """
    numbers = itertools.count()

    def check(
        rule: str,
        enqueue: str,
        severity: Severity,
        words: str,
        *,
        line: str | None = None,
        spec: Any = None,
        **files: str,
    ) -> None:
        shop = open_shop(tmp_path / f"r{next(numbers)}", enqueue, **files)
        found = findings(shop, rule, spec)
        assert [(f.rule, f.severity) for f in found] == [(f"rq.{rule}", severity)]
        assert words in found[0].message
        text = (
            (shop.project.tree.read(found[0].path or "") or b"")
            .decode()
            .splitlines()[(found[0].line or 0) - 1]
        )
        assert line is None or text.strip() == line

    return check


@pytest.fixture
def check_ignores(tmp_path: Path) -> Check:
    """The same code without the mistake."""
    numbers = itertools.count()

    def check(rule: str, enqueue: str, *, spec: Any = None, **files: str) -> None:
        assert (
            findings(open_shop(tmp_path / f"i{next(numbers)}", enqueue, **files), rule, spec) == []
        )

    return check


def handler(body: str, head: str = "", parameters: str = "order_id") -> str:
    lines = "\n".join(f"    {line}" for line in body.strip("\n").splitlines())
    return f"from shop import dead_jobs, mailer\n{head}\ndef send_receipt({parameters}):\n{lines}\n"


TRY = "try:\n    mailer.send(order_id)\nexcept {}:\n    {}\n"


@pytest.mark.real
def test_no_scheduler(check_finds: Check, check_ignores: Check) -> None:
    rule, bare = "no-scheduler", {"Procfile": "worker: rq worker -u $REDIS_URL default\n"}
    check_finds(
        rule, SLOW, ERROR, "60 s (1 min) before a retry", line=bare["Procfile"].strip(), **bare
    )
    check_finds(rule, "queue.enqueue_in(wait, send_receipt, 7)\n", ERROR, "enqueue_in", **bare)
    django = {"Procfile": "", "compose.yml": "w:\n  command: [python, manage.py, rqworker, high]\n"}
    check_finds(rule, SLOW, ERROR, "stays scheduled", **django)
    returned = handler("return Retry(max=1, interval=9)", "from rq import Retry")
    check_finds(rule, PLAIN, ERROR, "9 s before a retry", tasks=returned, **bare)
    check_ignores(rule, QUICK, **bare)
    check_ignores(rule, SLOW)
    check_ignores(rule, SLOW, Procfile="worker: rqworker -bs default\n")
    check_ignores(rule, SLOW, Procfile="worker: rq worker $RQ_OPTIONS default\n")
    check_ignores(rule, SLOW, Procfile="# worker: rq worker default\n")
    check_ignores(rule, SLOW, **bare, work="Worker([queue]).work(with_scheduler=True)\n")
    check_ignores(
        rule,
        SLOW,
        **bare,
        **{"deploy/worker.sh": "exec rq worker \\\n  --with-scheduler \\\n  default\n"},
    )


def test_retry_differs(check_finds: Check, check_ignores: Check) -> None:
    rule = "retry-differs"
    check_finds(rule, SLOW + PLAIN, ERROR, "and never from here", line=PLAIN.strip())
    check_finds(rule, SLOW + QUICK, ERROR, "3 times (waits 10 s, 30 s, 60 s)")
    cron = "from rq import cron\ncron.register(send_receipt, 'q', interval=60)\n"
    check_finds(rule, QUICK + cron, ERROR, "never from here")
    check_ignores(rule, SLOW + SLOW.replace("7", "8"))
    check_ignores(rule, PLAIN + cron)
    check_ignores(rule, SLOW, **{"tests/test_x.py": "from shop.orders import *\n" + PLAIN})
    check_ignores(rule, SLOW + "queue.enqueue(send_receipt, 7, retry=settings.RETRY)\n")


def test_interval_length(check_finds: Check, check_ignores: Check) -> None:
    rule = "interval-length"
    check_finds(rule, SLOW.replace("max=3", "max=5"), WARNING, "RQ waits 10, 10, 10, 30, 60 s")
    check_finds(rule, SLOW.replace("max=3", "max=2"), WARNING, "the first are never used")
    check_finds(rule, SLOW.replace("[10, 30, 60]", "[]"), ERROR, "IndexError")
    check_ignores(rule, SLOW)
    check_ignores(rule, SLOW.replace("[10, 30, 60]", "10"))
    check_ignores(rule, QUICK)


def test_decorator_ignored(check_finds: Check, check_ignores: Check) -> None:
    tasks = """
        from rq import Retry
        from rq.decorators import job
        from shop.queues import queue
        @job(queue, retry=Retry(max=3), timeout=60)
        def send_receipt(order_id): ...
        """
    check_finds(
        "decorator-ignored", PLAIN, WARNING, "its retry, timeout does not apply", tasks=tasks
    )
    check_finds("decorator-ignored", QUICK, WARNING, "its timeout does", tasks=tasks)
    check_ignores("decorator-ignored", "send_receipt.delay(7)\n", tasks=tasks)
    check_ignores(
        "decorator-ignored",
        PLAIN,
        tasks=tasks.replace("retry=Retry(max=3), timeout=60", "result_ttl=5"),
    )


def test_permanent_retried(check_finds: Check, check_ignores: Check) -> None:
    rule = "permanent-retried"
    check_finds(rule, QUICK, ERROR, "shop.mailer:BadAddress is permanent")
    check_finds(
        rule, QUICK, ERROR, "BadAddress", tasks=handler(TRY.format("mailer.BadAddress", "raise"))
    )
    check_finds(rule, QUICK, ERROR, "BadAddress", tasks=handler(TRY.format("OSError", "return")))
    check_ignores(rule, PLAIN)
    check_ignores(rule, QUICK, tasks=handler(TRY.format("mailer.BadAddress", "return")))
    check_ignores(
        rule, QUICK, tasks=handler(TRY.format("mailer.BadAddress", "job.retries_left = 0; raise"))
    )
    stop = (
        "def stop(job, *a):\n    if isinstance(a[2], mailer.BadAddress):\n        job.retries_left"
        " = 0\n"
    )
    tasks = handler("mailer.send(order_id)") + stop
    stopped = QUICK.replace("7,", "7, on_failure=Callback(tasks.stop),")
    check_finds(rule, stopped, NOTE, "could not be read", tasks=tasks)


def test_swallowed_exception(check_finds: Check, check_ignores: Check) -> None:
    rule = "swallowed-exception"
    check_finds(
        rule,
        QUICK,
        ERROR,
        "RQ calls the job finished",
        tasks=handler(TRY.format("Exception", "return")),
    )
    recorded = TRY.format("Exception as e", "dead_jobs.record(order_id, e)")
    check_finds(
        rule, QUICK, ERROR, "never retried", line="except Exception as e:", tasks=handler(recorded)
    )
    check_ignores(rule, PLAIN, tasks=handler(recorded))
    check_ignores(rule, QUICK, tasks=handler(recorded.replace("Exception", "mailer.BadAddress")))
    again = handler(TRY.format("mailer.Unavailable", "return Retry(max=2)"), "from rq import Retry")
    check_ignores(rule, QUICK, tasks=again)
    check_ignores(rule, QUICK, tasks=handler(TRY.format("Exception", "raise")))


def test_timeout_swallowed(check_finds: Check, check_ignores: Check) -> None:
    rule, broad = "timeout-swallowed", TRY.format("Exception", "return")
    check_finds(rule, PLAIN, WARNING, "after 180 s (3 min)", tasks=handler(broad))
    beside = "try:\n    tidy()\nexcept Exception:\n    pass\nmailer.send(order_id)\n"
    check_ignores(rule, PLAIN, tasks=handler(beside))
    check_ignores(rule, PLAIN.replace("7", "7, job_timeout=-1"), tasks=handler(broad))
    check_ignores(rule, PLAIN, tasks=handler(broad.replace("return", "raise")))
    named = broad.replace(
        "except Exception", "except JobTimeoutException:\n    raise\nexcept Exception"
    )
    check_ignores(rule, PLAIN, tasks=handler(named, "from rq.timeouts import JobTimeoutException"))


FAILED = QUICK.replace("7,", "7, on_failure=Callback(tasks.given_up),")
GIVEN_UP = "def given_up(job, connection, t, value, tb):\n    {}dead_jobs.record(job.args, value)\n"


def test_failure_each_attempt(check_finds: Check, check_ignores: Check) -> None:
    rule, tasks = "failure-each-attempt", handler("mailer.send(order_id)") + GIVEN_UP
    line = "dead_jobs.record(job.args, value)"
    check_finds(rule, FAILED, ERROR, "after each of 4 attempts", line=line, tasks=tasks.format(""))
    check_finds(rule, FAILED, WARNING, "4 attempts", spec=FRAMEWORK, tasks=tasks.format(""))
    check_ignores(rule, FAILED, tasks=tasks.format("if job.retries_left: return\n    "))
    check_ignores(rule, FAILED, tasks=tasks.format("if job.should_retry: return\n    "))
    check_ignores(rule, FAILED.replace(", retry=Retry(max=3)", ""), tasks=tasks.format(""))
    check_ignores(rule, FAILED, tasks=tasks.format("log.error(value)\n    return\n    #"))


def test_killed_not_recorded(check_finds: Check, check_ignores: Check) -> None:
    rule, tasks = "killed-not-recorded", handler("mailer.send(order_id)") + GIVEN_UP.format("")
    check_finds(rule, FAILED, WARNING, "out of memory", tasks=tasks)
    check_ignores(rule, FAILED, tasks=tasks, spec=FRAMEWORK)
    check_ignores(rule, QUICK, tasks=tasks)
    check_ignores(rule, FAILED, tasks=tasks, sweep="from rq.registry import FailedJobRegistry\n")


def test_registry_off(check_finds: Check, check_ignores: Check) -> None:
    rule, off = "registry-off", {"Procfile": "worker: rq worker -d --with-scheduler\n"}
    check_finds(rule, PLAIN, ERROR, "not kept", spec=FRAMEWORK, **off)
    code = {"work": "Worker([q], disable_default_exception_handler=True).work()\n"}
    check_finds(rule, PLAIN, ERROR, "not kept", spec=FRAMEWORK, **code)
    check_ignores(rule, PLAIN, **off)
    check_ignores(rule, PLAIN, spec=FRAMEWORK, Procfile="worker: rq worker -ds random\n")
    check_ignores(rule, PLAIN, spec=FRAMEWORK, work=code["work"].replace("True", "False"))


def test_failure_ttl(check_finds: Check, check_ignores: Check) -> None:
    rule, short = "failure-ttl", "queue.enqueue(send_receipt, 7, failure_ttl=3600)\n"
    check_finds(rule, short, WARNING, "3600 s (1 h)", spec=FRAMEWORK)
    check_finds(rule, short.replace("3600", "0"), ERROR, "0 s", spec=FRAMEWORK)
    for other in ("-1", "'30d'", "TTL"):
        check_ignores(rule, short.replace("3600", other), spec=FRAMEWORK)
    check_ignores(rule, short)


def test_permanent_not_recorded(check_finds: Check, check_ignores: Check) -> None:
    rule, lost = "permanent-not-recorded", TRY.format("mailer.BadAddress as e", "return")
    check_finds(rule, QUICK, ERROR, "without a dead letter", tasks=handler(lost))
    check_ignores(
        rule, QUICK, tasks=handler(lost.replace("return", "dead_jobs.record(order_id, e)"))
    )


def test_reserved_argument(check_finds: Check, check_ignores: Check) -> None:
    rule, tasks = (
        "reserved-argument",
        handler("mailer.send(order_id)", parameters="order_id, description"),
    )
    described = "queue.enqueue(send_receipt, 7, description='a')\n"
    check_finds(rule, described, ERROR, "never gets it", tasks=tasks)
    check_finds(
        rule,
        described,
        WARNING,
        "description",
        tasks=tasks.replace("description", "description=None"),
    )
    check_ignores(rule, described)
    check_ignores(rule, "queue.enqueue(send_receipt, 7, 'a')\n", tasks=tasks)
    check_ignores(
        rule,
        "queue.enqueue(send_receipt, kwargs={'order_id': 7, 'description': 'a'})\n",
        tasks=tasks,
    )


def test_wrong_arguments(check_finds: Check, check_ignores: Check) -> None:
    rule = "wrong-arguments"
    check_finds(rule, "queue.enqueue(send_receipt)\n", ERROR, "order_id is missing")
    check_finds(rule, "queue.enqueue(send_receipt, 7, urgent=1)\n", ERROR, "takes no urgent")
    check_finds(rule, "queue.enqueue_call(send_receipt, (7, 8))\n", ERROR, "2 arguments")
    check_finds(rule, "queue.enqueue_in(wait, send_receipt)\n", ERROR, "order_id is missing")
    for right in (
        "7, job_timeout=5, meta={}",
        "*args",
        "order_id=7",
        "args=(7,)",
        "kwargs={'order_id': 7}",
        "**kw",
    ):
        check_ignores(rule, f"queue.enqueue(send_receipt, {right})\n")
    helper = "def later(f, name, **options):\n    {}\nlater(send_receipt, name='x', user=1)\n"
    check_ignores(rule, helper.format("queue.enqueue(f, 7)"))
    check_ignores(rule, helper.format("f.delay(7)"))
    check_ignores(
        rule,
        "queue.enqueue_call(send_receipt, (7,), timeout=5)\nqueue.enqueue_at(when, send_receipt,"
        " 7)\n",
    )


def test_publish_in_transaction(check_finds: Check, check_ignores: Check) -> None:
    rule, atomic = (
        "publish-in-transaction",
        "from django.db import transaction\nwith transaction.atomic():\n    ",
    )
    check_finds(rule, atomic + PLAIN, ERROR, "before the commit")
    check_ignores(rule, atomic + "transaction.on_commit(lambda: queue.enqueue(send_receipt, 7))\n")
    check_ignores(rule, atomic + "save()\n" + PLAIN)
    check_ignores(rule, "import django_rq\n" + atomic + "django_rq.enqueue(send_receipt, 7)\n")


def test_publish_unkeyed_and_job_id(check_finds: Check, check_ignores: Check) -> None:
    tasks = handler("queue.enqueue(other, order_id)", "from shop.queues import queue")
    check_finds("publish-unkeyed", QUICK, WARNING, "without a job_id", tasks=tasks)
    check_ignores("publish-unkeyed", PLAIN, tasks=tasks)
    check_ignores(
        "publish-unkeyed",
        QUICK,
        tasks=tasks.replace("order_id)\n", "order_id, job_id=f'o{order_id}')\n"),
    )
    named = "queue.enqueue(send_receipt, 7, job_id=f'receipt-{7}')\n"
    check_finds("job-id-no-dedupe", named, NOTE, "queued again")
    check_ignores("job-id-no-dedupe", named.replace("{7}'", "{7}', unique=True"))


def test_object_argument_and_pickle(check_finds: Check, check_ignores: Check) -> None:
    row = (
        "def settle():\n    order = Order.objects.get(pk=1)\n    queue.enqueue(send_receipt,"
        " order)\n"
    )
    models = "from django.db import models\nclass Order(models.Model): ...\n"
    head = "from shop.models import Order\n"
    check_finds("object-argument", head + row, WARNING, "stale", models=models)
    check_ignores("object-argument", head + row.replace("t, order)", "t, order.pk)"), models=models)
    check_finds("pickle-serializer", PLAIN, NOTE, "pickled")
    check_ignores(
        "pickle-serializer",
        PLAIN,
        Procfile="worker: rq worker --serializer rq.serializers.JSONSerializer\n",
    )


def test_racing(check_finds: Check, check_ignores: Check) -> None:
    lock = "with cache.lock('receipt', timeout={}):\n    mailer.send(order_id)\n"
    head = "from django.core.cache import cache"
    check_finds("lock-ttl", PLAIN, WARNING, "180 s", tasks=handler(lock.format(60), head))
    check_ignores("lock-ttl", PLAIN, tasks=handler(lock.format(900), head))
    check = "if not cache.get(order_id):\n    mailer.send(order_id)\n    cache.set(order_id, 1)\n"
    check_finds(
        "check-then-act", PLAIN, WARNING, "both find it missing", tasks=handler(check, head)
    )
    check_ignores(
        "check-then-act",
        PLAIN,
        tasks=handler("if cache.add(order_id, 1):\n    mailer.send(order_id)", head),
    )
    locked = "Order.objects.select_for_update().get(pk=order_id)\n"
    check_finds(
        "select-for-update-outside-transaction",
        PLAIN,
        WARNING,
        "does not outlive",
        tasks=handler(locked),
    )
    inside = "with transaction.atomic():\n    " + locked
    tasks = handler(inside, "from django.db import transaction")
    check_ignores("select-for-update-outside-transaction", PLAIN, tasks=tasks)


def test_every_rule_has_a_reason_and_tests() -> None:
    text = Path(__file__).read_text()
    for rule in rq.list_rules():
        assert rule.id.startswith("rq.")
        assert rule.why.endswith(".")
        assert rule.source
        assert f'"{rule.id.removeprefix("rq.")}"' in text
