"""Each static rule of taskiq on code that has the mistake, and on code that looks like it and is
right.
"""

from __future__ import annotations

import itertools
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import helpers
import pytest
from taskiq_repo import OUTCOMES, findings, open_shop

from skillrun.contract.spec import load_spec
from skillrun.core.verdict import Severity
from skillrun.frameworks.interface import (
    Job,
)
from skillrun.frameworks.rulebook import read_rule
from skillrun.frameworks.taskiq import FRAMEWORK as taskiq
from skillrun.repo.python import Project
from skillrun.repo.survey import Survey
from skillrun.repo.tree import Tree
from skillrun.repo.uses import FrameworkUse

sys.path.insert(0, str(Path(__file__).parent.parent / "proof" / "corpus"))
import run as corpus  # type: ignore[import-not-found,unused-ignore]

STYLES = corpus.load("taskiq_parcel").VARIANTS

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
HEAD = (
    "from shop import dead_jobs, mailer\nfrom shop.broker import broker\nfrom taskiq import"
    " Context, TaskiqDepends\n"
)
Check = Callable[..., None]
STREAM = "broker = RedisStreamBroker(URL)"
TYPES = "types_of_exceptions=(mailer.Unavailable, TimeoutError)"


def stream(*middlewares: str, made: str = STREAM) -> str:
    return f"{made}.with_middlewares({', '.join(middlewares)})\n"


def smart(*options: str) -> str:
    return f"SmartRetryMiddleware({', '.join(('default_retry_count=5', *options))})"


DUE = "schedule_source=due"
BROKER = stream(smart("default_retry_label=True", DUE, TYPES))


def task(
    labels: str = "",
    body: str = "await mailer.send(order_id)",
    parameters: str = "order_id, email=''",
) -> str:
    inner = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    return f"@broker.task({labels})\nasync def send_receipt({parameters}):\n{inner}\n"


TASK = task()
ASKS = "order_id, context: Context = TaskiqDepends()"


@pytest.fixture
def check_finds(tmp_path: Path) -> Check:
    """`check_finds(rule, severity, "words of the message", tasks, broker, spec=...,
    module=text)`.
    """
    numbers = itertools.count()

    def check(
        rule: str,
        severity: Severity,
        words: str,
        tasks: str = TASK,
        broker: str = BROKER,
        spec: Any = None,
        **more: str,
    ) -> None:
        shop = open_shop(tmp_path / f"r{next(numbers)}", HEAD + tasks, broker=broker, **more)
        (finding,) = findings(shop, rule, spec)
        assert (finding.rule, finding.severity) == (f"taskiq.{rule}", severity)
        assert words in finding.message
        assert finding.path is not None
        assert finding.line

    return check


@pytest.fixture
def check_ignores(tmp_path: Path) -> Check:
    """The same code without the mistake."""
    numbers = itertools.count()

    def check(
        rule: str, tasks: str = TASK, broker: str = BROKER, spec: Any = None, **more: str
    ) -> None:
        shop = open_shop(tmp_path / f"i{next(numbers)}", HEAD + tasks, broker=broker, **more)
        assert findings(shop, rule, spec) == []

    return check


ONCE = {"retry": {"kind": "none", "reason": "one try is all that is safe"}}


def test_no_retry_middleware(check_finds: Check, check_ignores: Check) -> None:
    check_finds("no-retry-middleware", ERROR, "read by nobody", task("max_retries=5"), STREAM)
    check_finds("no-retry-middleware", ERROR, "5 attempts", TASK, STREAM)
    check_ignores("no-retry-middleware")
    check_ignores("no-retry-middleware", TASK, STREAM, ONCE)
    check_ignores("no-retry-middleware", TASK, f"{STREAM}\nbroker.add_middlewares({smart()})\n")
    check_ignores(
        "no-retry-middleware", TASK, f"class Own(TaskiqMiddleware): ...\n{stream('Own()')}"
    )
    check_ignores("no-retry-middleware", TASK, stream("*middlewares()"))


def test_retry_not_asked(check_finds: Check, check_ignores: Check) -> None:
    check_finds("retry-not-asked", ERROR, "does not ask", task("max_retries=5"), stream(smart(DUE)))
    check_finds("retry-not-asked", ERROR, "does not ask", TASK, stream(smart(DUE)))
    check_ignores("retry-not-asked", task("retry_on_error=True"), stream(smart(DUE)))
    check_ignores("retry-not-asked", task("retry_on_error=False"))
    check_ignores("retry-not-asked")
    kicked = (
        "from shop.tasks import send_receipt\nasync def f():\n    await"
        " send_receipt.kicker().with_labels({}).kiq(7)\n"
    )
    check_ignores(
        "retry-not-asked", TASK, stream(smart(DUE)), orders=kicked.format("retry_on_error=True")
    )


def test_runs_not_retries(check_finds: Check, check_ignores: Check) -> None:
    check_finds("runs-not-retries", ERROR, "counts runs: 4 attempts", task("max_retries=4"))
    check_ignores("runs-not-retries", task("max_retries=5"))
    check_ignores("runs-not-retries", task("max_retries=2"))


def test_delay_unread(check_finds: Check, check_ignores: Check) -> None:
    plain = smart("default_retry_label=True", TYPES)
    check_finds("delay-unread", ERROR, "RedisStreamBroker does not read", TASK, stream(plain))
    check_finds(
        "delay-unread",
        ERROR,
        "ListQueueBroker",
        TASK,
        stream(plain, made="broker = ListQueueBroker(URL)"),
    )
    nats = "from taskiq_nats import NatsBroker\n"
    check_finds(
        "delay-unread",
        ERROR,
        "NatsBroker",
        TASK,
        nats + stream(plain, made="broker = NatsBroker(URL)"),
    )
    pika = "from taskiq_aio_pika import AioPikaBroker\n"
    check_ignores("delay-unread", TASK, pika + stream(plain, made="broker = AioPikaBroker(URL)"))
    check_ignores("delay-unread")
    check_ignores("delay-unread", task("retry_on_error=False"), stream(plain))


def test_no_wait(check_finds: Check, check_ignores: Check) -> None:
    check_finds("no-wait", WARNING, "at once", TASK, stream("SimpleRetryMiddleware(5, True)"))
    check_ignores("no-wait")
    check_ignores("no-wait", TASK, stream("SimpleRetryMiddleware(5)"))


def test_source_takes_none(check_finds: Check, check_ignores: Check) -> None:
    labels = (
        "from taskiq.schedule_sources import LabelScheduleSource\nlabels ="
        " LabelScheduleSource(None)\n"
    )
    source = stream(smart("default_retry_label=True", "schedule_source=labels"))
    check_finds("source-takes-none", ERROR, "NotImplementedError", TASK, labels + source)
    check_ignores("source-takes-none")


def test_source_unread(check_finds: Check, check_ignores: Check) -> None:
    other = "from taskiq_redis import RedisScheduleSource\nlater = RedisScheduleSource(URL)\n"
    check_finds(
        "source-unread", ERROR, "never sent", TASK, other + stream(smart("schedule_source=later"))
    )
    check_ignores("source-unread")
    beat = (
        "from taskiq import TaskiqScheduler\nfrom shop.broker import later\ns ="
        " TaskiqScheduler(broker, [later])\n"
    )
    check_ignores("source-unread", TASK, other + stream(smart("schedule_source=later")), beat=beat)
    beat = beat.replace("[later]", "[]") + "s.sources.append(later)\n"
    check_ignores("source-unread", TASK, other + stream(smart("schedule_source=later")), beat=beat)
    beat = "from taskiq import TaskiqScheduler\ns = TaskiqScheduler(broker, sources())\n"
    check_ignores("source-unread", TASK, other + stream(smart("schedule_source=later")), beat=beat)


def test_product_of_delays(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "product-of-delays",
        WARNING,
        "5, 10, 15 s",
        TASK,
        stream(smart(DUE, "use_delay_exponent=True")),
    )
    check_finds(
        "product-of-delays", WARNING, "5, 10, 30", TASK, stream(smart("use_delay_exponent=True"))
    )
    check_ignores("product-of-delays", TASK, stream(smart(DUE, "use_delay_exponent=False")))


def test_retries_twice(check_finds: Check, check_ignores: Check) -> None:
    twice = stream(
        "SimpleRetryMiddleware(default_retry_label=True)", smart(DUE, "default_retry_label=True")
    )
    check_finds("retries-twice", ERROR, "sent again twice", TASK, twice)
    check_ignores(
        "retries-twice",
        TASK,
        stream("SimpleRetryMiddleware()", smart(DUE, "default_retry_label=True")),
    )
    check_ignores("retries-twice")


def test_permanent_retried(check_finds: Check, check_ignores: Check) -> None:
    every = stream(smart("default_retry_label=True", DUE))
    check_finds("permanent-retried", ERROR, "shop.mailer:BadAddress is permanent", TASK, every)
    check_ignores("permanent-retried")
    check_ignores("permanent-retried", task("types_of_exceptions=(TimeoutError,)"), every)
    taken = (
        "try:\n    await mailer.send(order_id)\nexcept mailer.BadAddress as e:\n    await"
        " dead_jobs.record(order_id, e)"
    )
    check_ignores("permanent-retried", task("", taken), every)
    again = taken.replace("    await dead_jobs.record(order_id, e)", "    raise")
    check_finds("permanent-retried", ERROR, "leaves the handler", task("", again), every)


def test_reject(check_finds: Check, check_ignores: Check) -> None:
    check_finds("reject", ERROR, "retried like any other", task("", "context.reject()", ASKS))
    check_finds(
        "reject", ERROR, "acknowledges: no broker", task("", "context.reject()", ASKS), STREAM
    )
    check_ignores("reject", task("", "order_id.reject()", ASKS))
    check_ignores("reject", task("", "context.message", ASKS))


def test_requeue(check_finds: Check, check_ignores: Check) -> None:
    annotated = "order_id, run: Annotated[Context, TaskiqDepends()]"
    check_finds(
        "requeue",
        ERROR,
        "at once",
        "from typing import Annotated\n" + task("", "await run.requeue()", annotated),
    )
    check_ignores("requeue", task("", "await queue.requeue()", ASKS))


def test_thread_timeout(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "thread-timeout", WARNING, "in its thread", task("timeout=60").replace("async def", "def")
    )
    check_ignores("thread-timeout", task("timeout=60"))


CAUGHT = "try:\n    await mailer.send(order_id)\nexcept {} as error:\n    {}"


def test_swallowed_exception(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "swallowed-exception",
        ERROR,
        "does not run it again",
        task("", CAUGHT.format("Exception", "print(error)")),
    )
    check_ignores("swallowed-exception", task("", CAUGHT.format("Exception", "raise")))


def test_failure_unrecorded(check_finds: Check, check_ignores: Check) -> None:
    check_finds("failure-unrecorded", WARNING, "keeps no dead letters")
    outcomes = textwrap.dedent(OUTCOMES)
    check_ignores("failure-unrecorded", TASK, outcomes + stream("Outcomes()", smart(DUE)))
    check_ignores(
        "failure-unrecorded",
        TASK,
        BROKER,
        {"dead_letter": {"kind": "none", "reason": "it may be lost"}},
    )
    last = """
        try:
            await mailer.send(order_id)
        except TimeoutError as error:
            if int(context.message.labels.get("_retries", 0)) + 1 >= 5:
                await dead_jobs.record(order_id, error)
            raise
        """
    check_ignores("failure-unrecorded", task("", last, ASKS))


def test_record_each_time(check_finds: Check, check_ignores: Check) -> None:
    outcomes, each = textwrap.dedent(OUTCOMES), "every failure"
    blind = outcomes.replace("isinstance(result.error, NoResultError)", "order_id is None")
    retries = smart(DUE, "default_retry_label=True")
    check_finds("record-each-time", ERROR, each, TASK, blind + stream("Outcomes()", retries))
    check_finds(
        "record-each-time", ERROR, "reverse order", TASK, outcomes + stream(retries, "Outcomes()")
    )
    check_ignores("record-each-time", TASK, outcomes + stream("Outcomes()", retries))
    check_ignores("record-each-time", TASK, blind + stream("Outcomes()"))
    counted = outcomes.replace(
        "isinstance(result.error, NoResultError)", "message.labels.get('_retries', 0) < 4"
    )
    check_ignores("record-each-time", TASK, counted + stream(retries, "Outcomes()"))


def test_record_after_ack(check_finds: Check, check_ignores: Check) -> None:
    after = textwrap.dedent(OUTCOMES).replace(
        "on_error(self, message, result, exception)", "post_execute(self, message, result)"
    )
    broker = after + stream("Outcomes()", smart(DUE))
    check_finds(
        "record-after-ack", WARNING, "leaves no record", task("ack_type='when_executed'"), broker
    )
    check_finds(
        "record-after-ack",
        WARNING,
        "leaves no record",
        task("ack_type=AcknowledgeType.WHEN_EXECUTED"),
        broker,
    )
    check_ignores("record-after-ack", TASK, broker)
    check_ignores(
        "record-after-ack",
        task("ack_type='when_executed'"),
        textwrap.dedent(OUTCOMES) + stream("Outcomes()"),
    )


def test_permanent_not_recorded(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "permanent-not-recorded",
        ERROR,
        "without a dead letter",
        task("", CAUGHT.format("mailer.BadAddress", "return")),
    )
    kept = CAUGHT.format("mailer.BadAddress", "await dead_jobs.record(order_id, error)")
    check_ignores("permanent-not-recorded", task("", kept))


@pytest.mark.parametrize(
    "name",
    ["ListQueueBroker", "PubSubBroker", "RedisStreamClusterBroker", "ListQueueSentinelBroker"],
)
def test_loses_jobs(check_finds: Check, name: str) -> None:
    made = f"from taskiq_redis import {name}\nbroker = {name}(URL)\n"
    check_finds("loses-jobs", WARNING, f"{name} gives no message back", TASK, made)


def test_a_notification_is_sent_once(check_finds: Check) -> None:
    made = "from taskiq_pg import AsyncpgBroker\nbroker = AsyncpgBroker(URL)\n"
    check_finds("loses-jobs", WARNING, "AsyncpgBroker gives no message back", TASK, made)


def test_brokers_that_keep_jobs(check_ignores: Check) -> None:
    check_ignores("loses-jobs")
    check_ignores("loses-jobs", TASK, "broker = InMemoryBroker()")
    check_ignores(
        "loses-jobs",
        TASK,
        "from taskiq_aio_pika import AioPikaBroker\nbroker = AioPikaBroker(URL)\n",
    )


def test_in_memory(check_finds: Check, check_ignores: Check) -> None:
    check_finds(
        "in-memory", ERROR, "in the process that kicks it", TASK, "broker = InMemoryBroker()"
    )
    check_ignores("in-memory", TASK, f"{STREAM}\nif TESTING:\n    broker = InMemoryBroker()\n")


def test_acked_early(check_finds: Check, check_ignores: Check) -> None:
    check_finds("acked-early", ERROR, "is lost", task("ack_type='when_received'"))
    check_ignores("acked-early", task("ack_type='when_saved'"))
    check_ignores("acked-early")


def test_ack_type_enum(check_finds: Check, check_ignores: Check) -> None:
    head = "from taskiq import AcknowledgeType\n"
    early = "ack_type=AcknowledgeType.WHEN_EXECUTED"
    check_finds("ack-type-enum", ERROR, "which the receiver refuses", head + task(early))
    check_ignores("ack-type-enum", head + task(f"{early}.value"))
    check_ignores("ack-type-enum", task("ack_type='when_executed'"))


def test_never_acked(check_finds: Check, check_ignores: Check) -> None:
    check_finds("never-acked", ERROR, "for ever", task("ack_type='manual'"))
    check_ignores("never-acked", task("ack_type='manual'", "await context.ack()", ASKS))
    check_ignores("never-acked")


def test_claimed_later(check_finds: Check, check_ignores: Check) -> None:
    check_finds("claimed-later", NOTE, "in a quiet stream it waits")
    check_ignores("claimed-later", TASK, "broker = ListQueueBroker(URL)")


def test_idle_timeout(check_finds: Check, check_ignores: Check) -> None:
    short = "broker = RedisStreamBroker(URL, idle_timeout=30_000)"
    check_finds("idle-timeout", ERROR, "the task's timeout is 60 s", task("timeout=60"), short)
    check_finds("idle-timeout", WARNING, "no timeout", TASK, short)
    check_ignores("idle-timeout", task("timeout=20"), short)
    check_ignores("idle-timeout", task("timeout=60"))


def test_schedule_unread(check_finds: Check, check_ignores: Check) -> None:
    labels = "schedule=[{'cron': '0 8 * * *'}]"
    source = (
        "from taskiq.schedule_sources import LabelScheduleSource\nlabels ="
        " LabelScheduleSource(broker)\n"
    )
    check_finds("schedule-unread", ERROR, "never scheduled", task(labels))
    check_ignores("schedule-unread", task(labels), BROKER, labels=source)
    check_ignores("schedule-unread")


SENDS = "from shop.tasks import send_receipt\n\nasync def settle(order_id):\n    {}\n"


def test_not_awaited(check_finds: Check, check_ignores: Check) -> None:
    check_finds("not-awaited", ERROR, "nothing is sent", orders=SENDS.format("send_receipt.kiq(7)"))
    check_finds(
        "not-awaited",
        ERROR,
        "nothing is sent",
        orders=SENDS.format("send_receipt.kicker().with_labels(a=1).kiq(7)"),
    )
    check_ignores("not-awaited", orders=SENDS.format("await send_receipt.kiq(7)"))
    check_ignores("not-awaited", orders=SENDS.format("return send_receipt.kiq(7)"))


def test_wrong_arguments(check_finds: Check, check_ignores: Check) -> None:
    injected = task("", "...", "order_id, email, context: Context = TaskiqDepends()")
    check_finds(
        "wrong-arguments",
        ERROR,
        "email is missing",
        injected,
        orders=SENDS.format("await send_receipt.kiq(7)"),
    )
    check_finds(
        "wrong-arguments",
        ERROR,
        "takes no mail",
        orders=SENDS.format("await send_receipt.kiq(7, mail='')"),
    )
    check_ignores(
        "wrong-arguments", injected, orders=SENDS.format("await send_receipt.kiq(7, email='')")
    )
    check_ignores(
        "wrong-arguments", injected, orders=SENDS.format("await send_receipt.kiq(*order_id)")
    )
    alias = "from typing import Annotated\nRun = Annotated[Context, TaskiqDepends()]\n" + task(
        "", "...", "run: Run, order_id"
    )
    check_ignores("wrong-arguments", alias, orders=SENDS.format("await send_receipt.kiq(7)"))
    later = "await send_receipt.schedule_by_time(due, when, 7)"
    check_ignores("wrong-arguments", orders=SENDS.format(later))


def test_publish_in_transaction(check_finds: Check, check_ignores: Check) -> None:
    head = "from django.db import transaction\n"
    inside = head + SENDS.format("with transaction.atomic():\n        await send_receipt.kiq(7)")
    outside = head + SENDS.format(
        "with transaction.atomic():\n        ...\n    await send_receipt.kiq(7)"
    )
    check_finds("publish-in-transaction", ERROR, "inside a transaction", orders=inside)
    check_ignores("publish-in-transaction", orders=outside)


def test_publish_unkeyed(check_finds: Check, check_ignores: Check) -> None:
    check_finds("publish-unkeyed", WARNING, "once more", task("", "await archive.kiq(order_id)"))
    check_ignores("publish-unkeyed", task("", "await archive.send(order_id)"))


def test_task_id_is_no_key(check_finds: Check, check_ignores: Check) -> None:
    named = SENDS.format("await send_receipt.kicker().with_task_id(str(order_id)).kiq(order_id)")
    check_finds("task-id-is-no-key", NOTE, "keeps no second task out", orders=named)
    check_ignores(
        "task-id-is-no-key", orders=SENDS.format("await send_receipt.kicker().kiq(order_id)")
    )


def test_object_argument(check_finds: Check, check_ignores: Check) -> None:
    models = "from django.db import models\nclass Order(models.Model): ...\n"
    row = "from shop.models import Order\n" + SENDS.format(
        "await send_receipt.kiq(Order.objects.get(pk=7))"
    )
    check_finds("object-argument", WARNING, "a row of", orders=row, models=models)
    check_ignores(
        "object-argument", orders=row.replace("Order.objects.get(pk=7)", "7"), models=models
    )


def test_pickle_serializer(check_finds: Check, check_ignores: Check) -> None:
    pickled = "from taskiq.serializers import PickleSerializer\n" + BROKER.replace(
        STREAM, STREAM + ".with_serializer(PickleSerializer())"
    )
    check_finds("pickle-serializer", WARNING, "runs code in the worker", TASK, pickled)
    check_ignores("pickle-serializer", TASK)


def test_every_rule_has_a_pair() -> None:
    text = "".join(Path(__file__).read_text().split())
    # Tested with Celery.
    shared = {
        "taskiq.check-then-act",
        "taskiq.select-for-update-outside-transaction",
    }
    for rule in {rule.id for rule in taskiq.list_rules()} - shared:
        for check in ("finds", "ignores"):
            assert f'check_{check}("{rule.removeprefix("taskiq.")}"' in text, (rule, check)


@pytest.mark.parametrize("id_", [None, *(made.id for made in STYLES)])
def test_no_correct_style_is_an_error(tmp_path: Path, id_: str | None) -> None:
    """Those of the corpus, which are proved."""
    made = next((one for one in STYLES if one.id == id_), None)
    root = corpus.build("taskiq_parcel", made, tmp_path / "parcels")
    helpers.git(root, "init", "-q")
    spec, project = load_spec(root / ".skillrun/jobs/announce.yaml", root=root), Project(Tree(root))
    use = FrameworkUse("taskiq", app="parcels/broker.py:broker", apps=("parcels/broker.py:broker",))
    handler = taskiq.find_handler(project, use, str(spec.handler))
    assert handler is not None
    policy = taskiq.read_policy(project, use, handler)
    assert (policy.max_attempts, policy.backoff.delays(3), dict(policy.unknown)) == (
        4,
        (5.0, 15.0, 45.0),
        {},
    )
    assert policy.dead_letter is not None
    job = Job(project, Survey(), use, spec, handler, policy)
    assert [
        f
        for rule in taskiq.list_rules()
        for f in read_rule(rule, job).findings
        if f.severity in (Severity.BLOCKER, ERROR)
    ] == []
