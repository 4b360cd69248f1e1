"""The job that a scaffold writes for taskiq: its form, what the broker and the scheduler get, and
its own tests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import helpers
import pytest
import samples
from samples import Combination
from writing import assert_clean, assert_noticed, case_of, write

from skillrun.skills.job_worker.scaffold.plan import plan

TASKS, BROKER, TESTS = "shop/tasks.py", "shop/broker.py", "tests/test_send_receipt.py"
SPEC = ".skillrun/jobs/send-receipt.json"
BASE = Combination("taskiq")
CRON = replace(BASE, trigger="cron")
ERRORS = "class Unavailable(Exception): ...\n\n\nclass BadAddress(Exception): ...\n\n\n"
BLOCKING = f"{ERRORS}def send(order_id: int, email: str, *, idempotency_key: str) -> None: ...\n"


@pytest.mark.real
def test_the_task_says_what_is_tried_again_and_how_long_it_waits(tmp_path: Path) -> None:
    written = write(tmp_path, BASE)
    text = written.text(TASKS)
    assert {"sweep", "send_receipt", "enqueue_send_receipt"} <= {*written.names(TASKS)}
    assert "SEND_RECEIPT_ATTEMPTS = 4  # taskiq's max_retries counts runs" in text
    assert (
        "    max_retries=SEND_RECEIPT_ATTEMPTS,\n    types_of_exceptions=(mailer.Unavailable,"
        " TimeoutError),\n" in text
    )
    assert "        wait = min(60, 2 * 2 ** (tries - 1))\n" in text
    assert (
        '        context.message.labels["delay"] = random.uniform(wait / 2, wait)\n        raise\n'
        in text
    )
    assert_clean(written)


@pytest.mark.real
def test_the_broker_gets_what_retries_and_waits(tmp_path: Path) -> None:
    written = write(tmp_path, BASE)
    added = written.text(BROKER).partition("broker = RedisStreamBroker(REDIS_URL)\n")[2]
    assert [line for line in added.splitlines() if line] == [
        'retry_source = ListRedisScheduleSource(REDIS_URL, prefix="retries")',
        "broker.add_middlewares(SmartRetryMiddleware(schedule_source=retry_source))",
        "scheduler = TaskiqScheduler(broker, sources=[retry_source])",
    ]
    assert written.text("Procfile").splitlines() == [
        "worker: taskiq worker shop.broker:broker shop.tasks",
        "scheduler: taskiq scheduler shop.broker:scheduler --update-interval 5",
    ]
    assert "`taskiq scheduler shop.broker:scheduler` sends its" in written.text(TASKS)
    assert plan(case_of(written.root)).changes == ()


@pytest.mark.real
def test_many_fields_and_a_single_error_are_laid_out_as_a_formatter_does_it(tmp_path: Path) -> None:
    spec = samples.spec(BASE)
    spec["payload"]["properties"] |= {"currency": {"type": "string"}, "remark": {"type": "string"}}
    spec["failures"]["transient"] = ["TimeoutError"]
    written = write(tmp_path, BASE, {SPEC: json.dumps(spec)})
    assert "types_of_exceptions=(TimeoutError,),\n" in written.text(TASKS)
    assert "    except TimeoutError as error:\n" in written.text(TASKS)
    assert_clean(written)


@pytest.mark.real
def test_no_retry_says_why_and_leaves_the_broker_alone(tmp_path: Path) -> None:
    written = write(tmp_path, replace(BASE, retry=False))
    assert "@broker.task\nasync def send_receipt(" in written.text(TASKS)
    assert "    except Exception as error:  # Somebody looks at each failure\n" in written.text(
        TASKS
    )
    assert [
        change.path for change in written.plan.changes if change.path in (BROKER, "Procfile")
    ] == []


@pytest.mark.real
def test_a_clock_is_a_scheduled_task_that_publishes_what_is_due(tmp_path: Path) -> None:
    spec = samples.spec(CRON)
    spec["trigger"] |= {"schedule": "0 3 * * mon", "timezone": "Europe/Berlin"}
    written = write(tmp_path, CRON, {SPEC: json.dumps(spec)})
    assert (
        '@broker.task(schedule=[{"cron": "0 3 * * 1", "cron_offset": "Europe/Berlin"}])'
        in written.text(TASKS)
    )
    assert "sources=[LabelScheduleSource(broker), retry_source])" in written.text(BROKER)
    assert (
        "taskiq scheduler shop.broker:scheduler shop.tasks --update-interval 5\n"
        in written.text("Procfile")
    )
    assert_clean(written)
    poller = write(tmp_path / "poller", replace(BASE, trigger="poller", retry=False))
    assert (
        '@broker.task(schedule=[{"interval": 60}])\nasync def tick_send_receipt()'
        in poller.text(TASKS)
    )


@pytest.mark.real
def test_where_nothing_is_awaited_taskiq_itself_has_a_thread_for_it(tmp_path: Path) -> None:
    written = write(tmp_path, BASE, {"shop/mailer.py": BLOCKING})
    assert "\ndef send_receipt(\n" in written.text(TASKS)
    assert "asyncio" not in written.text(TASKS)
    assert_clean(written)


@pytest.mark.real
def test_sessions_of_asyncio_make_an_asynchronous_store(tmp_path: Path) -> None:
    text = write(tmp_path, replace(BASE, store="asyncio")).text(TASKS)
    assert "    async with send_receipt_store.once(order_id) as first:\n" in text
    assert "thread" not in text


def test_a_list_that_gives_nothing_back_is_said_to(tmp_path: Path) -> None:
    files = {BROKER: samples.files(BASE)[BROKER].replace("RedisStreamBroker", "ListQueueBroker")}
    assert "ListQueueBroker gives nothing back" in write(tmp_path, BASE, files).text(TASKS)


# -- what is there already

IMPORTS = (
    "from taskiq import SimpleRetryMiddleware, SmartRetryMiddleware, TaskiqMiddleware,"
    " TaskiqScheduler\n"
)
IMPORTS += "from taskiq.schedule_sources import LabelScheduleSource\n"
IMPORTS += "from taskiq_redis import ListRedisScheduleSource, RedisStreamBroker\n\n"
MADE = f"{IMPORTS}due = ListRedisScheduleSource('redis://')\n"
SCHEDULED = "scheduler = TaskiqScheduler(broker, sources=[due])\n"


def broker(middlewares: str, more: str = SCHEDULED, above: str = "") -> dict[str, str]:
    return {
        BROKER: (
            f"{MADE}{above}broker ="
            f" RedisStreamBroker('redis://').with_middlewares({middlewares})\n{more}"
        )
    }


DOUBLING = (
    "class Doubling(SmartRetryMiddleware):\n    def make_delay(self, message, retries):\n"
    "        return min(60, 2 * 2 ** (retries - 1))\n"
)
KEPT: dict[str, tuple[Mapping[str, str], bool]] = {
    "a middleware that waits": (broker("SmartRetryMiddleware(schedule_source=due)"), True),
    "one that computes the spec's waits": (
        broker("Doubling(schedule_source=due)", above=DOUBLING),
        False,
    ),
}


@pytest.mark.real
@pytest.mark.parametrize("name", KEPT)
def test_a_broker_that_retries_gets_nothing(tmp_path: Path, name: str) -> None:
    files, tells = KEPT[name]
    written = write(tmp_path, BASE, files)
    assert written.text(BROKER) == files[BROKER]
    assert ('.labels["delay"]' in written.text(TASKS)) is tells
    off = write(tmp_path / "off", replace(BASE, retry=False), files)
    assert "@broker.task(retry_on_error=False)\n" in off.text(TASKS)


@pytest.mark.real
def test_no_test_goes_over_a_broker_that_tests_do_not_have(tmp_path: Path) -> None:
    conditional = (
        "from taskiq import InMemoryBroker\n\nif 'TEST' in os.environ:\n    broker ="
        " InMemoryBroker()\n"
    )
    for name, more in (("there", ""), ("not there", conditional)):
        combination = replace(BASE, broker=True)
        written = write(
            tmp_path / name, combination, {BROKER: samples.files(combination)[BROKER] + more}
        )
        paths = [change.path for change in written.plan.changes]
        assert ("tests/test_send_receipt_integration.py" in paths) is (not more)
        assert "\nbroker.add_middlewares(" in written.text(BROKER)


BEAT = "shop/beat.py"
SCHEDULERS: dict[str, tuple[str, str, str]] = {
    "a list of its own module": (
        "sources=[]",
        BEAT,
        "TaskiqScheduler(broker, sources=[LabelScheduleSource(broker), retry_source])\n",
    ),
    "a list that has no name": ("[]", BEAT, "\nscheduler.sources.append(retry_source)\n"),
    "a list above what is added": (
        "sources=[]",
        BROKER,
        "\nscheduler.sources.append(retry_source)\n",
    ),
}


@pytest.mark.real
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_gets_the_sources_that_it_lacks(tmp_path: Path, name: str) -> None:
    sources, path, line = SCHEDULERS[name]
    made = f"from taskiq import TaskiqScheduler\n\nscheduler = TaskiqScheduler(broker, {sources})\n"
    text = samples.files(BASE)[BROKER]
    files = (
        {BROKER: text + made}
        if path == BROKER
        else {BEAT: f"from shop.broker import broker\n{made}"}
    )
    written = write(tmp_path, CRON, files)
    assert line in written.text(path)
    assert "LabelScheduleSource(broker)" in written.text(path)
    assert written.text(BROKER).count("TaskiqScheduler(") == (path == BROKER)
    assert plan(case_of(written.root)).changes == ()


def test_sources_that_were_not_read_may_be_labels_already(tmp_path: Path) -> None:
    beat = (
        "from taskiq import TaskiqScheduler\nfrom taskiq.schedule_sources import"
        " LabelScheduleSource\n"
    )
    beat += "from shop.broker import broker\n\n"
    beat += "scheduler = TaskiqScheduler(broker, list(map(LabelScheduleSource, [broker])))\n"
    written = write(tmp_path, replace(CRON, retry=False), {BEAT: beat})
    assert written.text(BEAT) == beat


LINE = "poetry run taskiq worker shop.broker:broker shop.carts --workers 2"
LOADED: dict[str, tuple[str, str]] = {
    "modules by their names": (LINE, LINE.replace("shop.carts", "shop.carts shop.mails")),
    "no modules": (
        "taskiq worker shop.broker:broker",
        "taskiq worker shop.broker:broker shop.mails",
    ),
    "another broker's": (
        LINE.replace("shop.broker:", "shop.other:"),
        LINE.replace("shop.broker:", "shop.other:"),
    ),
    "what it finds": (
        "taskiq worker -fsd shop.broker:broker",
        "taskiq worker -fsd shop.broker:broker shop.mails",
    ),
}


def test_a_new_module_of_tasks_is_loaded_by_workers_and_by_the_scheduler(tmp_path: Path) -> None:
    handler = json.dumps(samples.spec(CRON) | {"handler": "shop.mails:send_receipt"})
    procfile = "".join(f"{number}: {line}\n" for number, (line, _) in enumerate(LOADED.values()))
    beat = "from taskiq import TaskiqScheduler\nfrom shop.broker import broker\n\n"
    beat += "scheduler = TaskiqScheduler(broker, sources=[])\n"
    files = {
        SPEC: handler,
        "Procfile": f"{procfile}beat: taskiq scheduler shop.beat:scheduler -fsd\n",
        BEAT: beat,
    }
    lines = write(tmp_path, CRON, files).text("Procfile").splitlines()
    assert lines[:-1] == [f"{number}: {line}" for number, (_, line) in enumerate(LOADED.values())]
    assert lines[-1] == "beat: taskiq scheduler shop.beat:scheduler shop.mails -fsd"


# -- what cannot be

WAITING = "SmartRetryMiddleware(schedule_source=due)"
ELSEWHERE = "from taskiq_aio_pika import AioPikaBroker\n"
REFUSED: dict[str, tuple[Combination, Mapping[str, str], str]] = {
    "a queue of dead letters": (replace(BASE, dead="queue"), {}, "no dead letters of its own"),
    "no broker": (
        BASE,
        {BROKER: f"{IMPORTS}def broker():\n    return RedisStreamBroker('redis://')\n"},
        "no broker of taskiq was found",
    ),
    "a broker in memory": (
        BASE,
        {BROKER: "from taskiq import InMemoryBroker\nbroker = InMemoryBroker()\n"},
        "in the process that",
    ),
    "retries without a wait": (
        BASE,
        broker("SimpleRetryMiddleware()"),
        "SimpleRetryMiddleware waits for nothing",
    ),
    "waits that nobody reads": (
        BASE,
        broker("SmartRetryMiddleware()"),
        "has no schedule_source: give it one",
    ),
    "waits that are changed": (
        BASE,
        broker("SmartRetryMiddleware(schedule_source=due, use_jitter=True)"),
        "has use_jitter, which changes",
    ),
    "waits of its own": (
        BASE,
        broker(
            "Doubling(schedule_source=due)",
            above=DOUBLING.replace("60", "9 * 60").replace("2 * 2", "3 * 2"),
        ),
        "make_delay computes other waits",
    ),
    "retries of its own": (
        BASE,
        broker(
            "Own(schedule_source=due)",
            above="class Own(SmartRetryMiddleware):\n    def on_error(self, *a): ...\n",
        ),
        "Own retries in a way of its own",
    ),
    "middlewares that were not read": (BASE, broker("*made()"), "one of them may retry"),
    "fractions of a second": (
        BASE,
        {
            BROKER: (
                "from taskiq_pg import AsyncpgBroker\n\nbroker = AsyncpgBroker('postgresql://')\n"
            )
        },
        "AsyncpgBroker waits whole seconds",
    ),
    "a scheduler without a name": (
        CRON,
        {
            BEAT: (
                "from taskiq import TaskiqScheduler\nfrom shop.broker import broker\n\n\ndef"
                " main():\n    run(TaskiqScheduler(broker, []))\n"
            )
        },
        "no source can be added to the TaskiqScheduler of shop/beat.py",
    ),
    "a taskiq that retries all errors": (
        BASE,
        {"requirements.txt": "taskiq[reload]==0.12.4\n"},
        "0.12.4 knows no types_of_exceptions",
    ),
    "two waits": (
        BASE,
        {
            BROKER: (
                f"{MADE}{ELSEWHERE}broker = AioPikaBroker('amqp://').with_middlewares({WAITING})\n"
            )
        },
        "would wait twice",
    ),
    "a cluster": (
        BASE,
        {
            BROKER: (
                "from taskiq_redis import RedisStreamClusterBroker\nbroker ="
                " RedisStreamClusterBroker('redis://')\n"
            )
        },
        "nothing waits for a retry of RedisStreamClusterBroker here",
    ),
    "a Django project": (
        replace(BASE, store="receiver", dead="none"),
        {"config/settings.py": 'INSTALLED_APPS = ["shop"]\n'},
        "know no Django project",
    ),
    "a schedule that is no cron": (
        CRON,
        {
            SPEC: json.dumps(
                samples.spec(CRON) | {"trigger": {"type": "cron", "schedule": "0 3 L * *"}}
            )
        },
        "no cron that means '0 3 L * *'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_taskiq_cannot_do_is_said_first(tmp_path: Path, name: str) -> None:
    combination, files, words = REFUSED[name]
    root = helpers.build_tree(tmp_path / "repo", {**samples.files(combination), **files})
    assert words in " ".join(finding.message for finding in plan(case_of(root)).missing)


def test_a_broker_that_waits_itself_gets_the_middleware_alone(tmp_path: Path) -> None:
    written = write(tmp_path, BASE, {BROKER: f"{ELSEWHERE}\nbroker = AioPikaBroker('amqp://')\n"})
    assert "\nbroker.add_middlewares(SmartRetryMiddleware())\n" in written.text(BROKER)
    assert "cheduler" not in written.text(BROKER) + written.text("Procfile") + written.text(TASKS)


# -- its own tests


@pytest.mark.real
@pytest.mark.parametrize(
    "combination",
    [
        BASE,
        replace(BASE, retry=False),
        replace(BASE, message="payload"),
        CRON,
        replace(BASE, effect="transactional"),
        replace(BASE, store="asyncio", trigger="cron"),
    ],
    ids=str,
)
def test_its_own_tests_pass_and_notice_what_is_broken(
    tmp_path: Path, combination: Combination
) -> None:
    written = write(tmp_path, combination)
    assert_noticed(written, broken(combination), "pytest", "-q")


def broken(combination: Combination) -> list[tuple[str, str, str]]:
    """What no test of the job may let through."""
    found = [(TASKS, "send_receipt_store.bury(message, repr(error))\n", "len(message)\n")]
    if combination.store == "asyncio":
        found = [(TASKS, "await send_receipt_store.bury(message, repr(error))\n", "len(message)\n")]
    found.append((TASKS, ".with_labels(**labels).kiq(", ".with_labels(**labels)("))
    if combination.retry:
        found.append(
            (TASKS, "max_retries=SEND_RECEIPT_ATTEMPTS", "max_retries=SEND_RECEIPT_ATTEMPTS - 1")
        )
        found.append((TASKS, "retry_on_error=True", "retry_on_error=False"))
        found.append((BROKER, "broker.add_middlewares(", "print("))
        found.append((TASKS, "types_of_exceptions=(", "types_of_exceptions=(KeyError,) or ("))
    if combination.effect == "keyed":
        found.append((TASKS, "await mailer.send(", "dict("))
    else:
        found.append((TASKS, "bookings.book(", "dict("))
    if combination.trigger == "cron":
        awaited = "await " * (combination.store == "asyncio")
        found.append((TASKS, f"    {awaited}_settle_send_receipt(message)\n", ""))
    return found
