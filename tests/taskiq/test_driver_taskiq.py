"""taskiq's driver beyond what every driver promises: brokers, acknowledgements, waits, schedules,
dependencies.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("taskiq_redis")

from skillrun.contract.spec import load_spec
from skillrun.proof.attempt import try_prove
from skillrun.proof.explorer import Explorer
from skillrun.proof.history import History
from skillrun.proof.result import Target
from skillrun.proof.schedule import parse_schedule
from skillrun.proof.services.find import find_redis_server
from skillrun.proof.workplace import Workplace
from skillrun.proof.zygote import BootFailed, Running

CORPUS = Path(__file__).parents[1] / "proof" / "corpus" / "taskiq_parcel"
TASKS, BROKER, COUNTER = "parcels/tasks.py", "parcels/broker.py", "parcels/counter.py"
SPEC = ".skillrun/jobs/announce.yaml"
PAYLOADS = {
    0: {"parcel_id": 7, "address": "1 Mill Lane"},
    1: {"parcel_id": 8, "address": "1 Mill Lane"},
}
KILL = "kill@before:announcement#1"
EVERY = "raise=TimeoutError@before:announcement#*/*"
STREAM = "RedisStreamBroker(REDIS, idle_timeout=120_000)"
IMPORTED = "from taskiq_redis import ListRedisScheduleSource, RedisStreamBroker\n"
KIQ = "    await announce.kiq(parcel_id=parcel_id, address=address)\n"
Edit = tuple[str, str, str]

# A worker of its own for each test.
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(find_redis_server() is None, reason="no redis-server here"),
]


def build(root: Path, *edits: Edit) -> Path:
    shutil.copytree(CORPUS, root, ignore=shutil.ignore_patterns("corpus.py", "__pycache__"))
    for file, old, new in edits:
        text = (root / file).read_text()
        assert text.count(old) == 1, (file, old)
        (root / file).write_text(text.replace(old, new))
    return root


def workplace_of(root: Path) -> Workplace:
    return Workplace(load_spec(root / SPEC, root=root), root, "taskiq", ())


@pytest.fixture
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Explorer]:
    """The corpus' announcements with edits in them, booted."""
    with workplace_of(
        build(tmp_path.resolve() / "office", *getattr(request, "param", ()))
    ) as workplace:
        workplace.start_servers()
        workplace.set_up()
        explorer = Explorer(workplace)
        explorer.begin(PAYLOADS)
        yield explorer


def edited(*edits: Edit) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("office", [edits], indirect=True)


def under(office: Explorer, schedule: str) -> History:
    return office.run(parse_schedule(schedule))


def settled(history: History) -> list[tuple[str, float]]:
    """How each delivery, or the library after a death, settled, and the wait before it comes
    again.
    """
    found = [delivery.settled for delivery in history.deliveries if delivery.settled]
    return [(event["how"], event["delay"]) for event in found]


def waits(history: History) -> list[float]:
    """Of the retries that were published."""
    return [round(event["delay"], 1) for delivery in history.runs for event in delivery.retries]


def broker(name: str, options: str = "REDIS") -> tuple[Edit, ...]:
    return (BROKER, STREAM, f"{name}({options})"), (
        BROKER,
        IMPORTED,
        IMPORTED + f"from taskiq_redis import {name}\n",
    )


def test_facts(office: Explorer) -> None:
    facts = office.facts
    assert (facts.redelivery_s, facts.max_attempts, facts.bounded_kills) == (
        120.0,
        4,
        False,
    )
    assert "another message has come after it" in facts.on_kill


def test_a_death_brings_the_message_back_and_counts_nothing(office: Explorer) -> None:
    history = under(office, f"{KILL} {KILL}/2 {KILL}/3 {KILL}/4 {KILL}/5")
    assert settled(history) == [("requeued", 120.0)] * 5 + [("acked", 0.0)]


def test_a_failure_is_acknowledged_and_its_retry_is_a_message(office: Explorer) -> None:
    history = under(office, EVERY)
    assert settled(history) == [("acked", 0.0)] * 4
    assert waits(history) == [pytest.approx(wait, abs=0.1) for wait in (5, 15, 45)]
    assert [run.outcome for run in history.runs] == ["retried", "retried", "retried", "failed"]
    assert history.dead_letters == 1


@pytest.mark.parametrize(
    "name", ["ListQueueBroker", pytest.param("PubSubBroker", marks=pytest.mark.real)]
)
def test_a_broker_that_acknowledges_nothing_loses_the_job(tmp_path: Path, name: str) -> None:
    with workplace_of(build(tmp_path.resolve() / "office", *broker(name))) as workplace:
        workplace.start_servers()
        workplace.set_up()
        explorer = Explorer(workplace)
        explorer.begin(PAYLOADS)
        assert name in explorer.facts.on_kill
        assert settled(under(explorer, KILL)) == [("lost", 0.0)]
        history = under(explorer, "raise=TimeoutError@before:announcement#1 kill@after:publish#1/1")
    # Its retry was sent.
    assert (history.lost, settled(history)) == (
        0,
        [("acked", 0.0), ("acked", 0.0)],
    )


@edited(*broker("RedisStreamSentinelBroker", "[('localhost', 26379)], 'main'"))
def test_a_stream_whose_pending_messages_nobody_claims(office: Explorer) -> None:
    assert "RedisStreamSentinelBroker claims nothing" in office.facts.on_kill
    assert settled(under(office, "once")) == [("acked", 0.0)]
    assert settled(under(office, KILL)) == [("lost", 0.0)]


NOTIFIED = """
class Notified(RedisStreamBroker):
    async def listen(self):
        await self.connection.add_listener("taskiq", print)
        yield


due ="""


@edited((BROKER, STREAM, "Notified(REDIS)"), (BROKER, "\ndue =", NOTIFIED))
def test_a_notification_comes_once(office: Explorer) -> None:
    assert settled(under(office, KILL)) == [("lost", 0.0)]


@edited((TASKS, "@broker.task\n", "@broker.task(ack_type='when_received')\n"))
def test_what_is_acknowledged_early_is_lost(office: Explorer) -> None:
    assert (office.facts.acks_late, settled(under(office, KILL))) == (False, [("lost", 0.0)])
    assert settled(under(office, "once")) == [("acked", 0.0)]


@edited(
    (TASKS, "@broker.task\n", "@broker.task(ack_type=AcknowledgeType.WHEN_SAVED)\n"),
    (
        TASKS,
        "from parcels import carrier",
        "from taskiq import AcknowledgeType\n\nfrom parcels import carrier",
    ),
)
def test_a_label_is_a_text_and_an_enumeration_none_that_is_known(office: Explorer) -> None:
    history = under(office, "once")
    assert settled(history)[:2] == [("requeued", 120.0)] * 2
    assert not any(run.entered for run in history.runs)


@edited((TASKS, "@broker.task\n", "@broker.task(ack_type='manual')\n"))
def test_what_nobody_acknowledges_comes_again(office: Explorer) -> None:
    history = under(office, "once")
    assert settled(history)[:2] == [("requeued", 120.0)] * 2
    assert history.pending


@edited(
    (
        BROKER,
        "            give_up(parcel_id, repr(exception))\n",
        "            raise LookupError('a middleware that fails')\n",
    )
)
def test_what_a_middleware_raises_leaves_the_message_pending(office: Explorer) -> None:
    history = under(office, "raise=parcels.carrier:Rejected@before:announcement#1")
    assert settled(history) == [("requeued", 120.0), ("acked", 0.0)]
    assert "LookupError" in str(history.runs[0].settled and history.runs[0].settled["why"])


@edited((BROKER, "        schedule_source=due,\n", ""))
def test_a_label_that_the_broker_does_not_read_is_no_wait(office: Explorer) -> None:
    assert waits(under(office, EVERY)) == [0.0, 0.0, 0.0]


DELAYED = """
class Delayed(RedisStreamBroker):
    async def kick(self, message):
        later = float(message.labels.get("delay") or 0.0)
        await super().kick(message)


due ="""


@edited(
    (BROKER, "        schedule_source=due,\n", "        use_delay_exponent=True,\n"),
    (BROKER, "    Tripling(\n", "    SmartRetryMiddleware(\n"),
    (BROKER, STREAM, STREAM.replace("RedisStream", "Delayed").replace("Broker(", "(")),
    (BROKER, "\ndue =", DELAYED),
)
def test_a_label_that_the_broker_reads(office: Explorer) -> None:
    """Each wait is made of the one before: 5, 2 * 5, 3 * 10."""
    assert waits(under(office, EVERY)) == [5.0, 10.0, 30.0]


@edited((BROKER, "sources=[due]", "sources=[]"))
def test_a_source_that_no_scheduler_reads(office: Explorer) -> None:
    history = under(office, EVERY)
    assert len(history.runs) == 1
    assert [event["to_handler"] for event in history.runs[0].all("published")] == [False]


ELSEWHERE = "sources=[ListRedisScheduleSource(REDIS, prefix='planned')]"
ANOTHER = "sources=[ListRedisScheduleSource(REDIS)]"


@edited((BROKER, "sources=[due]", ELSEWHERE))
def test_a_scheduler_that_reads_other_keys(office: Explorer) -> None:
    assert len(under(office, EVERY).runs) == 1


@edited((BROKER, "sources=[due]", ANOTHER))
def test_a_scheduler_with_a_source_of_its_own_that_reads_the_same_keys(office: Explorer) -> None:
    assert len(under(office, EVERY).runs) > 1


LATER = """    when = datetime.now(timezone.utc) + timedelta(hours=1)
    await announce.schedule_by_time(due, when, parcel_id, address=address)
"""


@edited(
    (COUNTER, KIQ, LATER),
    (COUNTER, "from parcels.tasks", "from parcels.broker import due\nfrom parcels.tasks"),
    (
        COUNTER,
        "from contextlib import closing\n",
        "from contextlib import closing\nfrom datetime import datetime, timedelta, timezone\n",
    ),
)
def test_a_job_that_is_put_off_comes_later(office: Explorer) -> None:
    caller = office.caller
    assert caller is not None
    assert [event["delay"] for event in caller.all("published")] == [pytest.approx(3600, abs=0.5)]
    assert under(office, "once").runs[0].outcome == "succeeded"


def test_what_no_broker_listens_to_is_not_published_to_it(tmp_path: Path) -> None:
    slow = KIQ.replace("announce.kiq", "announce.kicker().with_labels(queue_name='slow').kiq")
    root = build(tmp_path.resolve() / "office", (COUNTER, KIQ, slow))
    proof = try_prove(Target(load_spec(root / SPEC, root=root), root, "taskiq"))
    assert [(j.rule, j.message) for j in proof.incomplete] == [
        ("not-published", "nothing was published to the handler")
    ]


@edited(
    (
        COUNTER,
        KIQ,
        KIQ.replace(
            "announce.kiq",
            "announce.kicker().with_task_id(f'a-{parcel_id}').with_labels(max_retries=2).kiq",
        ),
    )
)
def test_the_next_job_has_the_labels_and_an_id_like_the_applications(office: Explorer) -> None:
    messages = office.origin.messages
    assert (messages[0]["id"], messages[1]["id"]) == ("a-7", "a-8")
    assert len(under(office, EVERY).runs) == 2


DEPENDS = """
async def opened(context: Context = TaskiqDepends()):
    try:
        yield context.state.prefix
    except carrier.Rejected:
        log.info("rolled back parcel=%s", context.message.kwargs["parcel_id"])
        raise


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
def start(state):
    state.prefix = "parcel"


@broker.task
"""


@edited(
    (TASKS, "\n@broker.task\n", DEPENDS),
    (
        TASKS,
        "parcel_id: int | None = None, address: str",
        "parcel_id: int | None = None, prefix: str = TaskiqDepends(opened), address: str",
    ),
    (TASKS, 'reference=f"parcel-', 'reference=f"{prefix}-'),
    (
        TASKS,
        "from parcels import carrier",
        "from taskiq import Context, TaskiqDepends, TaskiqEvents\n\nfrom parcels import carrier",
    ),
)
def test_events_and_dependencies_are_taskiqs_own(office: Explorer) -> None:
    assert [event["key"] for event in under(office, "once").performed()] == ["'parcel-7'"]
    history = under(office, "raise=parcels.carrier:Rejected@before:announcement#1")
    assert any(
        "rolled back parcel=7" in event["text"] for event in history.events if event.kind == "log"
    )


@edited(
    (TASKS, "@broker.task\n", "@broker.task(timeout=60)\n"),
    (TASKS, "    await carrier", "    await asyncio.sleep(90)\n    await carrier"),
    (TASKS, "import logging\n", "import asyncio\nimport logging\n"),
)
def test_time_that_is_slept_beyond_the_timeout_is_an_error(office: Explorer) -> None:
    history = under(office, "once")
    assert not history.performed()
    assert [run.outcome for run in history.runs] == ["retried", "retried", "retried", "failed"]


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        (((TASKS, "@broker.task\n", ""),), "is no taskiq task but function"),
        (
            (
                (TASKS, "@broker.task\n", "@async_shared_broker.task\n"),
                (
                    TASKS,
                    "from parcels import carrier",
                    "from taskiq import async_shared_broker\n\nfrom parcels import carrier",
                ),
            ),
            "has no default broker",
        ),
    ],
)
def test_what_cannot_be_run_is_said(tmp_path: Path, edits: tuple[Edit, ...], words: str) -> None:
    with workplace_of(build(tmp_path.resolve() / "office", *edits)) as workplace:
        workplace.start_servers()
        workplace.set_up()
        with pytest.raises(BootFailed, match=words):
            workplace.zygote()


@edited(
    (
        TASKS,
        "@broker.task\n",
        (
            "@broker.task(schedule=[{'cron': '0 8 * * *', 'kwargs': {'parcel_id': 7, 'address': '1"
            " Mill Lane'}}])\n"
        ),
    ),
    (SPEC, "trigger: {type: event}", 'trigger: {type: cron, schedule: "0 8 * * *", timezone: UTC}'),
    (
        SPEC,
        "enqueue: {call: parcels.counter:take, args: {parcel_id: 7, address: 1 Mill Lane}}\n",
        "",
    ),
)
def test_a_tick_is_what_the_scheduler_sends(office: Explorer) -> None:
    history = under(office, "once")
    assert [event["key"] for event in history.performed()] == ["'parcel-7'"]
    assert settled(under(office, KILL)) == [("requeued", 120.0), ("acked", 0.0)]


def test_another_thread_may_say_something_while_one_stands_still() -> None:
    running = Running(1, -1)
    running.note({"e": "fault", "do": "pause", "at": "before:announcement#1"})
    running.note({"e": "log", "text": "Timeouts for sync tasks don't work in python well."})
    assert running.paused
    running.resume()  # nobody listens there
    assert not running.paused


@edited(
    (BROKER, "    def on_error(self", "    async def on_error(self"),
    (BROKER, "            give_up(parcel_id", "            await give_up(parcel_id"),
    (
        BROKER,
        """def give_up(parcel_id: object, reason: str) -> None:
    with closing(db.connect()) as connection, connection:
        connection.execute(""",
        """async def give_up(parcel_id: object, reason: str) -> None:
    async with aiosqlite.connect(os.environ["PARCELS_DB"]) as connection:
        await connection.execute(""",
    ),
    (
        BROKER,
        "(str(parcel_id), reason))\n",
        "(str(parcel_id), reason))\n        await connection.commit()\n",
    ),
    (BROKER, "import os\n", "import os\n\nimport aiosqlite\n"),
)
def test_what_a_middleware_writes_through_aiosqlite_has_boundaries(office: Explorer) -> None:
    """The thread of a connection knows nothing of the middleware that waits for it, and the
    handler has ended by then.
    """
    last = under(office, EVERY).runs[-1]
    passed = [event.boundary for event in last.all("at")]
    assert passed[-2:] == ["before:commit#1", "after:commit#1"]
    assert "after:insert-dead_announcements#1" in passed
    written = next(at for at in last.all("at") if at["name"] == "insert-dead_announcements#1")
    assert written.place is not None
    assert written.place[0] == BROKER
