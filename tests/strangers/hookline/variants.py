VARIANTS = [
    {
        "id": "clock-driven",
        "kind": "correct",
        "job": "deliver-event",
        "what": "No retry middleware and no schedule in Redis: a failed attempt stays pending with its due_at, and the sweep, each minute, "
        "sends what is due. The wait between attempts is thus the minute of the sweep.",
        "edits": [
            (
                "hooks/broker.py",
                "",
                '''"""taskiq's broker and its scheduler. Nothing is retried by taskiq: what is pending and due, the sweep sends."""

import sqlite3

from taskiq import TaskiqScheduler
from taskiq.schedule_sources import LabelScheduleSource
from taskiq_redis import RedisStreamBroker

from hooks.dead import DeadLetterMiddleware
from hooks.errors import RetryLater
from hooks.settings import settings

# Locked, disk full, the volume is away: of our own store, and it may pass.
RETRYABLE = (RetryLater, sqlite3.OperationalError)

broker = RedisStreamBroker(
    settings.redis_url,
    queue_name="hooks",
    consumer_group_name="hooks",
    consumer_id="0",  # from the first message on, also from those that were sent before the first worker came
    idle_timeout=120_000,  # a delivery takes 20 seconds at most; who has been at it for two minutes is dead
    unacknowledged_lock_timeout=30,  # else a worker that dies with the lock keeps all others from claiming
    maxlen=200_000,  # what is trimmed unread, the sweep sends again
).with_middlewares(DeadLetterMiddleware(retryable=RETRYABLE))

scheduler = TaskiqScheduler(broker, sources=[LabelScheduleSource(broker)])
''',
            ),
            (
                "hooks/settings.py",
                "    retry_step_s: int = 30\n    retry_cap_s: int = 600\n    overdue_s: int = 300\n",
                "    in_flight_s: int = 45  # a delivery and its way through the stream; later somebody else may\n",
            ),
            (
                "hooks/store.py",
                '''                (event_id, customer_id, body, now, now),
''',
                '''                (event_id, customer_id, body, now, now + settings.in_flight_s),
''',
            ),
            (
                "hooks/store.py",
                "                (time.time(), event_id, PENDING),\n",
                "                (time.time() + settings.in_flight_s, event_id, PENDING),\n",
            ),
            (
                "hooks/store.py",
                '''    async def failed(self, event_id: str, reason: str, retry_in_s: float) -> None:
''',
                '''    async def failed(self, event_id: str, reason: str) -> None:
''',
            ),
            (
                "hooks/store.py",
                "                (reason, time.time() + retry_in_s, event_id, PENDING),\n",
                "                (reason, time.time(), event_id, PENDING),  # the next sweep may have it\n",
            ),
            (
                "hooks/store.py",
                "                (PENDING, now, now, event_id, DEAD),\n",
                "                (PENDING, now, now + settings.in_flight_s, event_id, DEAD),\n",
            ),
            (
                "hooks/store.py",
                "    async def overdue(self, by_s: float) -> list[tuple[str, int, float]]:\n",
                "    async def due(self) -> list[tuple[str, int, float]]:\n",
            ),
            (
                "hooks/store.py",
                '''"SELECT id, attempts, created_at FROM events WHERE state = ? AND due_at < ? ORDER BY due_at LIMIT 200",
                (PENDING, time.time() - by_s),
''',
                '''"SELECT id, attempts, created_at FROM events WHERE state = ? AND due_at <= ? ORDER BY due_at LIMIT 200",
                (PENDING, time.time()),
''',
            ),
            (
                "hooks/store.py",
                '''            await db.execute("UPDATE events SET due_at = ? WHERE id = ? AND state = ?", (time.time(), event_id, PENDING))
''',
                '''            await db.execute(
                "UPDATE events SET due_at = ? WHERE id = ? AND state = ?",
                (time.time() + settings.in_flight_s, event_id, PENDING),
            )
''',
            ),
            (
                "hooks/tasks.py",
                '''def retry_delay(attempt: int) -> int:
    return min(settings.retry_step_s * attempt, settings.retry_cap_s)


@broker.task("deliver_event", retry_on_error=True, max_retries=settings.max_attempts, dead_letters="yes")
''',
                '''@broker.task("deliver_event", dead_letters="yes")
''',
            ),
            (
                "hooks/tasks.py",
                '''    """Tells the customer of one event. Raises RetryLater for SmartRetryMiddleware, GiveUp for DeadLetterMiddleware."""
''',
                '''    """Tells the customer of one event. Raises GiveUp for DeadLetterMiddleware; after RetryLater the sweep comes back."""
''',
            ),
            (
                "hooks/tasks.py",
                '''    delay = retry_delay(attempt)
    await store.failed(event_id, reason, delay)
    log.bind(result="retry", reason=reason, retry_in_s=delay).warning("attempt failed")
''',
                '''    await store.failed(event_id, reason)
    log.bind(result="retry", reason=reason).warning("attempt failed")
''',
            ),
            (
                "hooks/tasks.py",
                '@broker.task("sweep", schedule=[{"cron": "*/10 * * * *"}])\n',
                '@broker.task("sweep", schedule=[{"cron": "* * * * *"}])\n',
            ),
            (
                "hooks/tasks.py",
                '''    return await send_overdue()


async def send_overdue() -> int:
    """Sends again what is pending and should have been tried by now: its message, or its schedule, was lost."""
''',
                '''    return await send_due()


async def send_due() -> int:
    """Sends what is pending and due: an attempt failed, its worker died, or its message was lost."""
''',
            ),
            (
                "hooks/tasks.py",
                "    overdue = await store.overdue(settings.overdue_s)\n    for event_id, attempts, created_at in overdue:\n",
                "    due = await store.due()\n    for event_id, attempts, created_at in due:\n",
            ),
            (
                "hooks/tasks.py",
                '        log.bind(result="sent_again", reason="overdue").warning("swept")\n    return len(overdue)\n',
                '        log.bind(result="sent_again", reason="due").info("swept")\n    return len(due)\n',
            ),
            (
                "README.md",
                "| anything else, no answer | `SmartRetryMiddleware` schedules it again: after 30, 60, 90, 120, 150 s; six attempts in all, then dead letter |\n",
                "| anything else, no answer | it stays pending, and the next sweep sends it again; six attempts in all, then dead letter |\n",
            ),
            (
                "README.md",
                "| the message or the schedule is lost | `sweep`, each ten minutes, sends what is pending and five minutes overdue again |\n",
                "| the message is lost | `sweep`, each minute, sends what is pending and due |\n",
            ),
            (
                ".skillrun/jobs/deliver-event.yaml",
                "  - {call: hooks.tasks:send_overdue, every: 10m}\n",
                "  - {call: hooks.tasks:send_due, every: 1m}\n",
            ),
            (
                ".skillrun/jobs/deliver-event.yaml",
                "  backoff: {kind: linear, base: 30s, step: 30s, cap: 10m}\n",
                "  backoff: {kind: fixed, base: 60s}\n",
            ),
            (
                "tests/conftest.py",
                '''    """What went to Redis: messages to the stream, and retries to the schedule."""
''',
                '''    """What went to Redis."""
''',
            ),
            (
                "tests/conftest.py",
                '''    async def add_schedule(schedule):
        message = TaskiqMessage(
            task_id=schedule.task_id, task_name=schedule.task_name, labels=schedule.labels, labels_types=None,
            args=schedule.args, kwargs=schedule.kwargs,
        )  # fmt: skip
        sent.append(wiring.broker.formatter.dumps(message).message)

    monkeypatch.setattr(wiring.broker, "kick", kick)
    monkeypatch.setattr(wiring.retries, "add_schedule", add_schedule)
''',
                '''    monkeypatch.setattr(wiring.broker, "kick", kick)
''',
            ),
            ("tests/conftest.py", "from taskiq import TaskiqMessage\n", ""),
            (
                "tests/conftest.py",
                '''def work(sent):
    """A worker that takes what was sent until nothing is left; its waits are left out."""
''',
                '''def work(rows, sent):
    """A worker that takes what was sent until nothing is left, and the sweep; the waits are left out."""
''',
            ),
            (
                "tests/conftest.py",
                '''            await receiver.callback(sent.pop(0))
            limit -= 1
''',
                '''            await receiver.callback(sent.pop(0))
            limit -= 1
            if not sent:
                rows("update events set due_at = 0 where last_error is not null")
                await tasks.send_due()
''',
            ),
            (
                "tests/test_deliver.py",
                '''    monkeypatch.setattr(Store, "begin", locked)
    await deliver()
    await work()
''',
                '''    monkeypatch.setattr(Store, "begin", locked)
    for _ in range(3):
        await deliver()
        await work()
''',
            ),
            (
                "tests/test_deliver.py",
                '''    assert await tasks.send_overdue() == 0
    rows("update events set due_at = due_at - 400 where id = 'evt_2000'")
    assert await tasks.send_overdue() == 1
    assert await tasks.send_overdue() == 0
''',
                '''    assert await tasks.send_due() == 0
    rows("update events set due_at = due_at - 60 where id = 'evt_2000'")
    assert await tasks.send_due() == 1
    assert await tasks.send_due() == 0
''',
            ),
        ],
    },
    {
        "id": "state-delivering",
        "kind": "mistake",
        "job": "deliver-event",
        "what": "To keep two deliveries at once from posting twice, an attempt puts the event into the state 'delivering', and whoever finds "
        "it there steps back. When the worker is killed during the POST (or the store fails after it), the redelivered message finds "
        "'delivering' and is acknowledged, and the sweep looks at pending events alone: the event is never delivered, and never dead.",
        "edits": [
            (
                "hooks/store.py",
                'PENDING, DELIVERED, DEAD = "pending", "delivered", "dead"',
                'PENDING, DELIVERING, DELIVERED, DEAD = "pending", "delivering", "delivered", "dead"',
            ),
            (
                "hooks/store.py",
                '''    body: str


class Store:''',
                '''    body: str
    ours: bool


class Store:''',
            ),
            (
                "hooks/store.py",
                '''        """The event, with this attempt counted if it is still pending."""
        async with self.transaction() as db:
            await db.execute(
                "UPDATE events SET attempts = attempts + 1, due_at = ? WHERE id = ? AND state = ?",
                (time.time(), event_id, PENDING),
            )
''',
                '''        """The event. It is ours, and the attempt counted, if it was pending and nobody else is delivering it."""
        async with self.transaction() as db:
            taken = await db.execute(
                "UPDATE events SET state = ?, attempts = attempts + 1, due_at = ? WHERE id = ? AND state = ?",
                (DELIVERING, time.time(), event_id, PENDING),
            )
''',
            ),
            (
                "hooks/store.py",
                "        return Delivery(*row) if row else None\n",
                "        return Delivery(*row, ours=taken.rowcount == 1) if row else None\n",
            ),
            (
                "hooks/store.py",
                '''                "UPDATE events SET last_error = ?, due_at = ? WHERE id = ? AND state = ?",
                (reason, time.time() + retry_in_s, event_id, PENDING),
''',
                '''                "UPDATE events SET state = ?, last_error = ?, due_at = ? WHERE id = ? AND state = ?",
                (PENDING, reason, time.time() + retry_in_s, event_id, DELIVERING),
''',
            ),
            (
                "hooks/store.py",
                "            if event and event[0] != PENDING:\n",
                "            if event and event[0] not in (PENDING, DELIVERING):\n",
            ),
            ("hooks/tasks.py", "    if delivery.state != PENDING:\n", "    if not delivery.ours:\n"),
            ("hooks/tasks.py", "from hooks.store import PENDING, Store, get_store\n", "from hooks.store import Store, get_store\n"),
            (
                "tests/test_deliver.py",
                "    for _ in range(6):\n        await get_store().begin(\"evt_1001\")\n",
                "    rows(\"update events set attempts = 6 where id = 'evt_1001'\")\n",
            ),
            ("tests/test_deliver.py", "from hooks.store import Store, get_store\n", "from hooks.store import Store\n"),
        ],
    },
    {
        "id": "attempts-from-label",
        "kind": "mistake",
        "job": "deliver-event",
        "what": "The attempt is what taskiq's label _retries says, instead of a count of our own in the row. A worker that dies does not raise "
        "the label: a message that kills its worker each time comes back without end, each time as attempt 1, and never gets into the dead "
        "letters (before the two days are over).",
        "edits": [
            (
                "hooks/store.py",
                '''    async def begin(self, event_id: str) -> Delivery | None:
        """The event, with this attempt counted if it is still pending."""
        async with self.transaction() as db:
            await db.execute(
                "UPDATE events SET attempts = attempts + 1, due_at = ? WHERE id = ? AND state = ?",
                (time.time(), event_id, PENDING),
            )
''',
                '''    async def begin(self, event_id: str, attempt: int) -> Delivery | None:
        """The event, with this attempt noted if it is still pending."""
        async with self.transaction() as db:
            await db.execute(
                "UPDATE events SET attempts = ?, due_at = ? WHERE id = ? AND state = ?",
                (attempt, time.time(), event_id, PENDING),
            )
''',
            ),
            (
                "hooks/tasks.py",
                '''    log = logger.bind(job="deliver_event", event_id=event_id, task_id=context.message.task_id)
    delivery = await store.begin(event_id)
''',
                '''    attempt = int(context.message.labels.get("_retries", 0)) + 1
    log = logger.bind(job="deliver_event", event_id=event_id, task_id=context.message.task_id, attempt=attempt)
    delivery = await store.begin(event_id, attempt)
''',
            ),
            (
                "hooks/tasks.py",
                "    log = log.bind(attempt=delivery.attempt)\n    if delivery.state",
                "    if delivery.state",
            ),
            (
                "hooks/tasks.py",
                '''    if delivery.attempt > settings.max_attempts:
        raise GiveUp(f"{settings.max_attempts} attempts, the last one ended without a word")
''',
                "",
            ),
            (
                "hooks/tasks.py",
                "            await failed(store, delivery.event_id, delivery.attempt, repr(exc), log)\n",
                "            await failed(store, delivery.event_id, attempt, repr(exc), log)\n",
            ),
            (
                "tests/test_deliver.py",
                '''async def test_deaths_of_the_worker_count(rows, customer, work):
    for _ in range(6):
        await get_store().begin("evt_1001")
    await deliver()
    await work()
    assert customer.seen == []
    assert rows(STATE) == [("dead", 7)]


''',
                "",
            ),
            ("tests/test_deliver.py", "from hooks.store import Store, get_store\n", "from hooks.store import Store\n"),
            (
                "tests/test_deliver.py",
                '''    async def locked(self, event_id):
        if errors:
            raise errors.pop()
        return await begin(self, event_id)
''',
                '''    async def locked(self, event_id, attempt):
        if errors:
            raise errors.pop()
        return await begin(self, event_id, attempt)
''',
            ),
            (
                "tests/test_deliver.py",
                '''    monkeypatch.setattr(Store, "begin", locked)
    await deliver()
    await work()
    assert rows(STATE) == [("delivered", 1)]
''',
                '''    monkeypatch.setattr(Store, "begin", locked)
    await deliver()
    await work()
    assert rows(STATE) == [("delivered", 3)]
''',
            ),
        ],
    },
    {
        "id": "client-errors-are-final",
        "kind": "mistake",
        "job": "deliver-event",
        "what": "Every 4xx but 408, 409 and 429 is taken for the customer's last word. When the customer's gateway answers 401 or 404 for a few "
        "minutes, during a deployment or a key rotation, the event goes into the dead letters after its first attempt, although six are "
        "promised.",
        "edits": [
            (
                "hooks/tasks.py",
                '''        if status == 410:
            raise GiveUp("the endpoint is gone (410)") from exc
''',
                '''        if status and 400 <= status < 500 and status not in (408, 409, 429):
            raise GiveUp(f"the endpoint does not want it ({status})") from exc
''',
            ),
            ("tests/test_deliver.py", 'httpx.ReadTimeout("slow"), 401]', 'httpx.ReadTimeout("slow"), 429]'),
        ],
    },
]
