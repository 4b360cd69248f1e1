"""What a taskiq task really does: its policy, who kicks it, what hears of it, and where taskiq is
used.
"""

from __future__ import annotations

from pathlib import Path

import helpers
import pytest
from taskiq_repo import FILES, Shop, open_shop

from skillrun.frameworks.interface import Backoff
from skillrun.frameworks.registry import RECOGNISED_ONLY, recognisers
from skillrun.frameworks.taskiq import FRAMEWORK as taskiq
from skillrun.repo.survey import survey_tree
from skillrun.repo.tree import Tree

NONE = Backoff("none")
HEAD = (
    "from shop import dead_jobs, mailer\nfrom shop.broker import broker\nfrom taskiq import"
    " Context, TaskiqDepends\n"
)
BODY = "async def send_receipt(order_id, context: Context = TaskiqDepends()):\n    "
STREAM = "broker = RedisStreamBroker(URL)"
PIKA = "from taskiq_aio_pika import AioPikaBroker\nbroker = AioPikaBroker(URL)"
OWN = (
    "class Own(SmartRetryMiddleware):\n    def make_delay(self, message, retries):\n        return"
    " {}\n"
)
FOUR = "SimpleRetryMiddleware(4, True)"
MADE = f"""
def make():
    made = RedisStreamBroker(URL)
    made.add_middlewares({FOUR})
    return made
broker = make()
"""


def shop(
    root: Path, labels: str = "", broker: str = STREAM, body: str = "...", **more: str
) -> Shop:
    return open_shop(
        root / "r", f"{HEAD}@broker.task({labels})\n{BODY}{body}\n", broker=broker, **more
    )


def smart(*options: str, made: str = STREAM) -> str:
    return f"{made}.with_middlewares(SmartRetryMiddleware({', '.join(options)}))\n"


@pytest.mark.parametrize(
    ("labels", "broker", "attempts"),
    [
        ("retry_on_error=True, max_retries=9", STREAM, 1),
        ("", smart(), 1),
        ("max_retries=9", smart(), 1),
        ("retry_on_error=True", smart(), 3),
        ("retry_on_error='true'", smart(), 3),
        ("retry_on_error=True, max_retries=9", smart(), 9),
        ("retry_on_error=True, max_retries=0", smart(), 1),
        ("", smart("default_retry_label=True", "default_retry_count=7"), 7),
        ("retry_on_error=False", smart("default_retry_label=True"), 1),
        ("", f"{STREAM}.with_result_backend(x).with_middlewares({FOUR})\n", 4),
        ("", f"{STREAM}\nbroker.add_middlewares({FOUR})\n", 4),
        ("", f"MORE = [{FOUR}]\n{STREAM}.with_middlewares(*MORE)\n", 4),
        ("", MADE, 4),
        (
            "",
            f"class Mine(RedisStreamBroker): ...\nbroker = Mine(URL).with_middlewares({FOUR})\n",
            4,
        ),
        ("", f"{smart('default_retry_label=True')}\nif TEST:\n    broker = InMemoryBroker()\n", 3),
    ],
)
def test_max_retries_counts_runs(tmp_path: Path, labels: str, broker: str, attempts: int) -> None:
    found = shop(tmp_path, labels, broker).policy
    assert (found.max_attempts, dict(found.unknown)) == (attempts, {})
    assert found.retried == (() if attempts == 1 else ("builtins:Exception",))


@pytest.mark.parametrize(
    ("broker", "backoff"),
    [
        (smart("default_retry_label=True"), NONE),
        (smart("default_retry_label=True", made="broker = ListQueueBroker(URL)"), NONE),
        (smart("default_retry_label=True", made=PIKA), Backoff("fixed", 5.0)),
        (
            smart("default_retry_label=True", "default_delay=8", "schedule_source=due"),
            Backoff("fixed", 8.0),
        ),
        (
            smart("5", "True", "True", "8", "True", "schedule_source=due"),
            Backoff("fixed", 8.0, jitter=True),
        ),
        (
            smart("5", "True", "schedule_source=due", "use_delay_exponent=True"),
            Backoff("exponential", 5.0, cap_s=60.0, waits=(5.0, 10.0, 15.0, 20.0)),
        ),
        (
            smart("5", "True", "use_delay_exponent=True", "max_delay_exponent=90", made=PIKA),
            Backoff("exponential", 5.0, cap_s=90.0, waits=(5.0, 10.0, 30.0, 90.0)),
        ),
        (f"{STREAM}.with_middlewares(SimpleRetryMiddleware(4, True))\n", NONE),
        (
            OWN.format("min(2 * 2 ** (retries - 1), 60)")
            + f"{STREAM}.with_middlewares(Own(5, True, schedule_source=due))\n",
            Backoff("exponential", 2.0, 2.0, 60.0),
        ),
    ],
)
def test_waits(tmp_path: Path, broker: str, backoff: Backoff) -> None:
    found = shop(tmp_path, "", broker).policy
    assert (found.backoff, dict(found.unknown)) == (backoff, {})


TOLD = """tries = int(context.message.labels.get("_retries", 0)) + 1
    wait = min(60, 2 * 3 ** (tries - 1))
    context.message.labels["delay"] = {}
"""


@pytest.mark.parametrize(
    ("told", "options", "backoff"),
    [
        ("wait", "", Backoff("exponential", 2.0, 3.0, 60.0)),
        ("random.uniform(wait / 2, wait)", "", Backoff("exponential", 2.0, 3.0, 60.0, jitter=True)),
        ("wait", "use_jitter=True", Backoff("exponential", 2.0, 3.0, 60.0, jitter=True)),
        ("7", "", Backoff("fixed", 7.0)),
        ("wait", "use_delay_exponent=True", None),
        ("wait_of(context)", "", None),
    ],
)
def test_a_wait_that_the_handler_tells(
    tmp_path: Path, told: str, options: str, backoff: Backoff | None
) -> None:
    broker = smart("5", "True", "schedule_source=due", *filter(None, [options]))
    found = shop(
        tmp_path, "", broker, f"import random\n    {TOLD.format(told)}    raise TimeoutError"
    ).policy
    assert ("backoff" in found.unknown) is (backoff is None)
    assert found.backoff == (backoff or NONE)


@pytest.mark.parametrize(
    ("labels", "broker", "names"),
    [
        (
            "max_retries=count()",
            smart("default_retry_label=True", "schedule_source=due"),
            {"max_attempts"},
        ),
        ("**LABELS", smart("schedule_source=due"), {"max_attempts", "backoff", "time_limit_s"}),
        ("", f"{STREAM}.with_middlewares(*middlewares())\n", {"middlewares", "max_attempts"}),
        (
            "",
            smart("default_retry_label=True", "default_delay=delay()", "schedule_source=due"),
            {"backoff"},
        ),
        (
            "",
            OWN.format("DELAYS[message.task_id]")
            + f"{STREAM}.with_middlewares(Own(5, True, schedule_source=due))\n",
            {"backoff"},
        ),
        (
            "",
            (
                "class Own(SmartRetryMiddleware):\n    async def on_error(self, message, result,"
                f" exception): ...\n{STREAM}.with_middlewares(Own(schedule_source=due))\n"
            ),
            {"max_attempts"},
        ),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, labels: str, broker: str, names: set[str]
) -> None:
    assert shop(tmp_path, labels, broker).policy.unknown.keys() == names


@pytest.mark.parametrize(
    ("guard", "attempts", "unknown"),
    [
        ("int(context.message.labels.get('_retries', 0)) + 1 >= 4", 4, False),
        ("context.message.labels.get('_retries', 0) == 2", 3, False),
        ("(context.message.labels.get('_retries') or 0) > 2", 4, False),
        ("context.message.labels.get('_retries', 0) >= 11", 5, False),
        ("context.message.labels.get('_retries', 0) >= limit()", 5, True),
    ],
)
def test_the_handlers_own_count(tmp_path: Path, guard: str, attempts: int, unknown: bool) -> None:
    body = f"if {guard}:\n        await dead_jobs.record(order_id, 'over')\n        return"
    found = shop(tmp_path, "", smart("5", "True", "schedule_source=due"), body).policy
    assert (found.max_attempts, "max_attempts" in found.unknown) == (attempts, unknown)
    assert found.dead_letter is not None and found.dead_letter.path == "shop/tasks.py"


def test_what_a_label_and_a_sender_say(tmp_path: Path) -> None:
    sends = (
        "from shop.tasks import send_receipt\nasync def f():\n"
        "    await send_receipt.kicker().with_labels(max_retries=8).kiq(7)\n"
    )
    labels = (
        "retry_on_error=True, timeout=30, types_of_exceptions=(TimeoutError, mailer.Unavailable)"
    )
    found = shop(tmp_path, labels, smart(), orders=sends).policy
    assert (found.max_attempts, found.time_limit_s) == (8, 30.0)
    assert found.retried == ("builtins:TimeoutError", "shop.mailer:Unavailable")


@pytest.mark.parametrize(
    ("labels", "broker", "late", "after"),
    [
        ("", STREAM, True, 600.0),
        ("", "broker = RedisStreamBroker(URL, idle_timeout=90_000)", True, 90.0),
        ("ack_type='when_received'", STREAM, False, 600.0),
        ("", "broker = ListQueueBroker(URL)", False, None),
        ("", PIKA, True, None),
        ("", "broker = InMemoryBroker()", False, None),
    ],
)
def test_what_becomes_of_a_dead_workers_message(
    tmp_path: Path, labels: str, broker: str, late: bool, after: float | None
) -> None:
    found = shop(tmp_path, labels, broker).policy
    assert (found.acks_late, found.visibility_timeout_s) == (late, after)


@pytest.mark.parametrize(
    ("orders", "wiring"),
    [
        ("await send_receipt.kiq(7)", [("enqueue", ".kiq(...)")]),
        (
            "await send_receipt.kicker().with_labels(delay=1).with_task_id('x').kiq(7)",
            [("enqueue", ".kiq(...)")],
        ),
        (
            "await send_receipt.schedule_by_time(due, when, 7)",
            [("enqueue", ".schedule_by_time(...)")],
        ),
        (
            "await send_receipt.schedule_by_cron(due, '* * * * *', 7)",
            [("schedule", ".schedule_by_cron(...)")],
        ),
        (
            "kicker = send_receipt.kicker()\n    await kicker.kiq(7)",
            [("enqueue", "handed on as a value")],
        ),
        ("await send_receipt(7)", []),
    ],
)
def test_who_kicks_it(tmp_path: Path, orders: str, wiring: list[tuple[str, str]]) -> None:
    text = f"from shop.tasks import send_receipt\nasync def settle(due, when):\n    {orders}\n"
    assert shop(tmp_path, orders=text).wiring == wiring


def test_schedules(tmp_path: Path) -> None:
    own = shop(tmp_path, "schedule=[{'cron': '0 8 * * *'}]")
    assert own.wiring == [("schedule", "schedule=[...]")]
    sender = "from shop.broker import broker\nfrom shop.tasks import send_receipt\n"
    sender += (
        "@broker.task(schedule=[{'cron': '0 8 * * *'}])\nasync def sweep():\n    await"
        " send_receipt.kiq(7)\n"
    )
    found = shop(tmp_path / "other", sweep=sender)
    assert ("schedule", "schedule=[...] of sweep, which kicks it") in found.wiring
    helper = (
        sender.replace("send_receipt.kiq(7)", "settle()")
        + "async def settle():\n    await send_receipt.kiq(7)\n"
    )
    found = shop(tmp_path / "helper", sweep=helper)
    assert ("schedule", "schedule=[...] of sweep, which kicks it") in found.wiring


def test_a_task_that_a_call_makes(tmp_path: Path) -> None:
    plain = (
        f"{HEAD}async def send_receipt(order_id): ...\ntask = broker.register_task(send_receipt,"
        " max_retries=8)\n"
    )
    orders = "from shop.tasks import task\nasync def settle():\n    await task.kiq(7)\n"
    found = open_shop(
        tmp_path / "r", plain, broker=smart("default_retry_label=True"), orders=orders
    )
    assert (found.policy.max_attempts, found.wiring) == (8, [("enqueue", ".kiq(...)")])
    place = taskiq.find_registration(found.project, found.use, found.handler)
    assert place is not None and "register_task" in place.text
    held = taskiq.find_handler(found.project, found.use, "shop.tasks:task")
    assert held is not None and held.dotted == found.handler.dotted


def test_a_shared_task_has_the_default_broker(tmp_path: Path) -> None:
    shared = (
        "from taskiq import async_shared_broker\n@async_shared_broker.task(retry_on_error=True)\n"
    )
    broker = f"from taskiq import async_shared_broker\n{smart()}other = ListQueueBroker(URL)\n"
    found = open_shop(
        tmp_path / "r",
        f"{shared}async def send_receipt(order_id): ...\n",
        broker=f"{broker}async_shared_broker.default_broker(broker)\n",
    )
    assert (found.policy.max_attempts, found.policy.acks_late) == (3, True)


@pytest.mark.parametrize("decorator", ["@shared_job", "@celery.task", "@app.task()"])
def test_what_is_no_task(tmp_path: Path, decorator: str) -> None:
    head = "from celery import Celery\nimport celery\nfrom jobs import shared_job\napp = Celery()\n"
    found = open_shop(
        tmp_path / "r", f"{head}{decorator}\nasync def send_receipt(order_id): ...\n", broker=STREAM
    )
    assert taskiq.find_registration(found.project, found.use, found.handler) is None


def test_a_broker_that_is_made_out_of_sight(tmp_path: Path) -> None:
    tasks = (
        "from company.queue import broker\n@broker.task\nasync def send_receipt(order_id): ...\n"
    )
    found = open_shop(tmp_path / "r", tasks, broker="")
    assert taskiq.find_registration(found.project, found.use, found.handler) is not None
    assert {"middlewares", "max_attempts"} <= found.policy.unknown.keys()


def test_hooks(tmp_path: Path) -> None:
    own = """
class Own(TaskiqMiddleware):
    def pre_execute(self, message): ...
    def on_error(self, message, result, exception):
        if not isinstance(result.error, NoResultError):
            log.error("over")
        else:
            log.warning("again")
    def post_execute(self, message, result):
        log.info("done")
"""
    found = shop(tmp_path, "", f"{own}{STREAM}.with_middlewares(Own())\n")
    hooks = taskiq.find_hooks(found.project, found.use, found.handler)
    names = {event: method.name for event, method in hooks.items()}
    assert names == {
        "started": "Own.pre_execute",
        "failed": "Own.on_error",
        "retried": "Own.on_error",
        "succeeded": "Own.post_execute",
    }


def test_use(tmp_path: Path) -> None:
    root = helpers.build_tree(tmp_path / "r", FILES)
    use = next(
        use for use in survey_tree(Tree(root), recognisers()).frameworks if use.id == "taskiq"
    )
    assert "taskiq" not in RECOGNISED_ONLY
    assert (use.app, use.broker, use.scheduler) == (
        "shop/broker.py:broker",
        "redis",
        "taskiq scheduler",
    )
    assert use.task_modules == ("shop/tasks.py",)
