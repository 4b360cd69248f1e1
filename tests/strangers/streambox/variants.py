SPEC = ".skillrun/jobs/deliver-webhook.yaml"
TASKS = "streambox/tasks.py"
TESTS = "tests/test_webhooks.py"

# --- ok-1: leases in the database instead of tokens in Redis, a client class on httpx, contextualize --

OK1_TOKENS = '''"""One worker at a time per webhook: a lease in the database, for the time that a try may take."""
import time
import uuid
from contextlib import asynccontextmanager

from streambox.db import one, transaction
from streambox.settings import settings


class Busy(Exception):
    """Another worker has the lease, or died with it; it runs out."""


@asynccontextmanager
async def token(name):
    owner, now = uuid.uuid4().hex, time.time()
    async with transaction() as db:
        mine = await one(
            db, "insert into leases (name, owner, until) values (?, ?, ?)"
                " on conflict (name) do update set owner = excluded.owner, until = excluded.until"
                " where leases.until < ? returning owner",
            name, owner, now + settings.token_ttl, now)
    if mine is None:
        raise Busy(name)
    try:
        yield owner
    finally:
        async with transaction() as db:
            await db.execute("delete from leases where name = ? and owner = ?", (name, owner))
'''

OK1_WEBHOOKS = '''import hashlib
import hmac
import time
from asyncio import timeout

import httpx

from streambox.settings import settings


class WebhookDown(Exception):
    """No answer in time, or one that says "later". It may have arrived."""


class WebhookRejected(Exception):
    """The customer's server does not want it: 4xx."""


def sign(secret, timestamp, body):
    mac = hmac.new(secret.encode(), f"{timestamp}.{body}".encode(), hashlib.sha256)
    return f"t={timestamp},v1={mac.hexdigest()}"


class Customer:
    """A customer's endpoint."""

    def __init__(self, url, secret):
        self.url, self.secret = url, secret

    async def tell(self, body, *, dedupe_id):
        headers = {
            "Content-Type": "application/json",
            "X-Streambox-Event": dedupe_id,
            "X-Streambox-Signature": sign(self.secret, int(time.time()), body),
        }
        try:
            async with timeout(settings.post_timeout), httpx.AsyncClient() as client:
                status = (await client.post(self.url, content=body, headers=headers)).status_code
        except (httpx.HTTPError, TimeoutError) as e:
            raise WebhookDown(f"{type(e).__name__}: {e}") from e
        if status in (408, 409, 425, 429) or status >= 500:
            raise WebhookDown(f"HTTP {status}")
        if status >= 300:
            raise WebhookRejected(f"HTTP {status}")
        return status
'''

# --- ok-2: the handler only raises; a middleware of the broker decides on retry or dead letter ---------

OK2_OUTCOMES = '''"""What becomes of a webhook that raised: the broker's middleware tries again, or buries it."""
import hashlib
import json
import time

from loguru import logger
from taskiq import SmartRetryMiddleware

from streambox.db import add_dead_letter, event_id, one, transaction
from streambox.settings import settings
from streambox.tokens import Busy


class Outcomes(SmartRetryMiddleware):
    async def on_error(self, message, result, exception):
        if message.task_name != "deliver_webhook":
            return
        reason = f"{type(exception).__name__}: {exception}"
        again = isinstance(exception, tuple(self.types_of_exceptions))
        tries = int(message.labels.get("_retries", 0)) + 1
        if again and tries < settings.max_attempts:
            logger.bind(job=name(message.kwargs), tries=tries).warning("webhook will be retried: {}", reason)
            await super().on_error(message, result, exception)
        elif isinstance(exception, Busy):  # not its own fault: the sweep looks after it
            logger.bind(job=name(message.kwargs)).warning("webhook left to the sweep, its token is held")
        else:
            await bury(message.kwargs, f"out of attempts, last error {reason}" if again else reason)


def name(kwargs):
    if isinstance(kwargs.get("video_id"), str) and isinstance(kwargs.get("event"), str):
        return event_id(kwargs["video_id"], kwargs["event"])
    return "msg"


async def bury(message, reason):
    ref = "msg_" + hashlib.sha256(json.dumps(message, sort_keys=True, default=str).encode()).hexdigest()[:16]
    async with transaction() as db:
        known = await one(db, "select status from deliveries where event_id = ?", name(message))
        if known and set(message) == {"video_id", "event"}:
            ref = name(message)
            if known["status"] != "pending":
                return
            await db.execute("update deliveries set status = 'failed', touched_at = ? where event_id = ?",
                             (time.time(), ref))
        await add_dead_letter(db, ref, message, reason)
    logger.bind(job=ref).error("webhook failed: {}", reason)
'''

OK2_TASKS = '''import re
import sqlite3
import time

from loguru import logger
from redis.exceptions import RedisError
from taskiq import TaskiqEvents, TaskiqScheduler
from taskiq.schedule_sources import LabelScheduleSource
from taskiq_redis import ListRedisScheduleSource, RedisStreamBroker

from streambox import webhooks
from streambox.db import add_delivery, event_id, one, transaction
from streambox.log import setup_logging
from streambox.outcomes import Outcomes
from streambox.settings import settings
from streambox.tokens import Busy, token
from streambox.webhooks import WebhookDown

retries = ListRedisScheduleSource(settings.redis, prefix="retries")
broker = RedisStreamBroker(
    settings.redis, queue_name="streambox", consumer_id="0", maxlen=100_000,
    idle_timeout=120_000, unacknowledged_lock_timeout=30,
).with_middlewares(
    Outcomes(
        default_retry_count=settings.max_attempts, default_delay=settings.retry_delay,
        use_delay_exponent=True, max_delay_exponent=600, schedule_source=retries,
        types_of_exceptions=(WebhookDown, Busy, RedisError, sqlite3.OperationalError),
    ),
)
scheduler = TaskiqScheduler(broker, sources=[LabelScheduleSource(broker), retries])

EVENTS = {"video.ready": "ready", "video.failed": "failed"}
DELIVERY = """
select d.*, c.webhook_url, c.secret from deliveries d
    join videos v on v.id = d.video_id join customers c on c.id = v.customer_id
where d.event_id = ?
"""


class BadMessage(Exception):
    pass


class OutOfAttempts(Exception):
    pass


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def on_startup(state):
    setup_logging()


@broker.task(task_name="deliver_webhook", retry_on_error=True)
async def deliver_webhook(**message):
    if set(message) != {"video_id", "event"}:
        raise BadMessage(f"fields {sorted(message)}")
    delivery = await load(**message)
    with logger.contextualize(job=delivery["event_id"], **message):
        if delivery["status"] != "pending":
            logger.info("webhook skipped, it is {}", delivery["status"])
            return
        async with token(delivery["event_id"]):
            attempt = await begin(delivery["event_id"])
            if attempt is None:
                logger.info("webhook skipped, it was settled meanwhile")
                return
            logger.info("webhook started, attempt {}", attempt)
            await webhooks.post_webhook(delivery["webhook_url"], delivery["secret"],
                                        event_id=delivery["event_id"], body=delivery["body"])
            await finish(delivery["event_id"])


async def load(video_id, event):
    if not isinstance(video_id, str) or not re.fullmatch(r"vid_[0-9a-z]{6}", video_id):
        raise BadMessage("video_id")
    if not isinstance(event, str) or event not in EVENTS:
        raise BadMessage("event")
    async with transaction() as db:
        video = await one(db, "select * from videos where id = ?", video_id)
        if video is None:
            raise BadMessage("no such video")
        delivery = await one(db, DELIVERY, event_id(video_id, event))
        if delivery is None:
            if video["status"] != EVENTS[event]:
                raise BadMessage(f"video is {video['status']}")
            await add_delivery(db, video, event)
            delivery = await one(db, DELIVERY, event_id(video_id, event))
        return delivery


async def begin(eid):
    async with transaction() as db:
        row = await one(
            db, "update deliveries set attempts = attempts + 1, touched_at = ?,"
                " published_at = coalesce(published_at, ?)"
                " where event_id = ? and status = 'pending' returning attempts", time.time(), time.time(), eid)
    if row and row["attempts"] > settings.max_attempts:
        raise OutOfAttempts(f"stopped {settings.max_attempts} times without a result")
    return row and row["attempts"]


async def finish(eid):
    async with transaction() as db:
        row = await one(
            db, "update deliveries set status = 'delivered', touched_at = ?"
                " where event_id = ? and status in ('pending', 'failed') returning 1", time.time(), eid)
        if row:
            await db.execute("delete from dead_letters where ref = ?", (eid,))
    if row:
        logger.success("webhook delivered")
    else:
        logger.warning("webhook delivered, but it had been cancelled meanwhile")


@broker.task(task_name="sweep", schedule=[{"cron": "*/5 * * * *"}])
async def sweep():
    from streambox import sweeps

    await sweeps.publish_pending()
    await sweeps.requeue_stalled()
'''

OK2_TESTS = '''import asyncio
import sqlite3

import fakeredis
import pytest
from taskiq import TaskiqMessage, TaskiqResult

from streambox import db, tasks, tokens, webhooks
from streambox.settings import settings

MSG = {"video_id": "vid_000001", "event": "video.ready"}


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch):
    server = fakeredis.FakeServer()
    monkeypatch.setattr(settings, "db", str(tmp_path / "t.db"))
    monkeypatch.setattr(tokens, "redis_client", lambda: fakeredis.FakeAsyncRedis(server=server))
    asyncio.run(db.create(demo=True))


@pytest.fixture
def answers(monkeypatch):
    answers = []

    async def post(url, secret, event_id, body):
        if answers:
            raise answers.pop(0)

    monkeypatch.setattr(webhooks, "post_webhook", post)
    return answers


def run(message, monkeypatch):
    """What the receiver does, with the retries at once. Returns the number of tries."""
    again = []

    async def add_schedule(schedule):
        again.append(schedule)

    monkeypatch.setattr(tasks.retries, "add_schedule", add_schedule)

    async def go():
        labels = {"retry_on_error": True}
        for tries in range(1, 10):
            again.clear()
            try:
                await tasks.deliver_webhook(**message)
            except Exception as e:
                m = TaskiqMessage(task_id="t", task_name="deliver_webhook", labels=labels, args=[], kwargs=message)
                r = TaskiqResult(is_err=True, return_value=None, execution_time=0, error=e)
                await tasks.broker.middlewares[0].on_error(m, r, e)
            if not again:
                return tries
            labels = again[0].labels

    return asyncio.run(go())


def sql(query):
    with sqlite3.connect(settings.db) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.parametrize("errors, tries, status", [
    ([], 1, "delivered"),
    ([webhooks.WebhookDown("HTTP 503")], 2, "delivered"),
    ([webhooks.WebhookDown("HTTP 503")] * 9, 5, "failed"),
    ([webhooks.WebhookRejected("HTTP 410")], 1, "failed"),
])
def test_outcomes(answers, monkeypatch, errors, tries, status):
    answers.extend(errors)
    assert run(MSG, monkeypatch) == tries
    assert sql("select status from deliveries") == [(status,)]
    assert len(sql("select * from dead_letters")) == (status == "failed")


def test_bad_messages(answers, monkeypatch):
    for message in ({}, {}, {**MSG, "more": 1}, {"video_id": "vid_000003", "event": "video.ready"}):
        assert run(message, monkeypatch) == 1
    assert len(sql("select * from dead_letters")) == 3
'''

VARIANTS = [
    {"id": "ok-1", "kind": "correct", "job": "deliver-webhook",
     "what": "Leases in a table of the database instead of tokens in Redis; the adapter is an object per "
             "customer, on httpx; the log's context by contextualize",
     "edits": [
         ("streambox/tokens.py", "", OK1_TOKENS),
         ("streambox/webhooks.py", "", OK1_WEBHOOKS),
         ("streambox/db.py", "create table if not exists dead_letters (",
          "create table if not exists leases (name text primary key, owner text not null, until real not null);\n"
          "create table if not exists dead_letters ("),
         (TASKS, "        await webhooks.post_webhook(\n"
                 "            url=delivery[\"webhook_url\"], secret=delivery[\"secret\"],\n"
                 "            event_id=delivery[\"event_id\"], body=delivery[\"body\"])\n",
          "        customer = webhooks.Customer(delivery[\"webhook_url\"], delivery[\"secret\"])\n"
          "        await customer.tell(delivery[\"body\"], dedupe_id=delivery[\"event_id\"])\n"),
         (TASKS, "    log = logger.bind(job=delivery[\"event_id\"], video=video_id, event=event)\n"
                 "    if delivery[\"status\"] != \"pending\":\n"
                 "        log.info(\"webhook skipped, it is {}\", delivery[\"status\"])\n"
                 "        return delivery[\"status\"]\n"
                 "    try:\n"
                 "        async with token(delivery[\"event_id\"]):\n"
                 "            return await deliver(delivery, message, log)\n"
                 "    except Busy:\n"
                 "        log.info(\"webhook put off, another worker holds its token\")\n"
                 "        raise\n",
          "    with logger.contextualize(job=delivery[\"event_id\"], video=video_id, event=event):\n"
          "        if delivery[\"status\"] != \"pending\":\n"
          "            logger.info(\"webhook skipped, it is {}\", delivery[\"status\"])\n"
          "            return delivery[\"status\"]\n"
          "        try:\n"
          "            async with token(delivery[\"event_id\"]):\n"
          "                return await deliver(delivery, message, logger)\n"
          "        except Busy:\n"
          "            logger.info(\"webhook put off, another worker holds its lease\")\n"
          "            raise\n"),
         ("requirements.txt", "aiohttp>=3.9\n", "aiohttp>=3.9\nhttpx>=0.27\n"),
         (TESTS, "    monkeypatch.setattr(tokens, \"redis_client\", lambda: fakeredis.FakeAsyncRedis(server=server))\n", ""),
         (TESTS, "    server = fakeredis.FakeServer()\n", ""),
         (TESTS, "import fakeredis\n", ""),
         (TESTS, "    async def __call__(self, url, secret, event_id, body):\n        self.calls.append((event_id, body))\n",
          "    async def __call__(self, body, *, dedupe_id):\n        self.calls.append((dedupe_id, body))\n"),
         (TESTS, "    monkeypatch.setattr(webhooks, \"post_webhook\", post)\n    return post\n",
          "    monkeypatch.setattr(webhooks.Customer, \"tell\", post)\n    return post\n"),
         (TESTS, "    async def overtaken(**kwargs):\n", "    async def overtaken(self, body, **kwargs):\n"),
         (TESTS, "    monkeypatch.setattr(webhooks, \"post_webhook\", overtaken)\n",
          "    monkeypatch.setattr(webhooks.Customer, \"tell\", overtaken)\n"),
         (SPEC, "call: streambox.webhooks:post_webhook", "call: streambox.webhooks:Customer.tell"),
         (SPEC, "key_arg: event_id", "key_arg: dedupe_id"),
         (SPEC, "  dead_letters: select", "  not_state: [leases]\n  dead_letters: select"),
     ]},
    {"id": "ok-2", "kind": "correct", "job": "deliver-webhook",
     "what": "The handler only raises; a middleware on top of SmartRetryMiddleware schedules the retry or "
             "writes the dead letter",
     "edits": [
         (TASKS, "", OK2_TASKS),
         ("streambox/outcomes.py", "", OK2_OUTCOMES),
         (TESTS, "", OK2_TESTS),
         ("streambox/sweeps.py", "from streambox.tasks import deliver_webhook, give_up\n",
          "from streambox.outcomes import bury\nfrom streambox.tasks import deliver_webhook\n"),
         ("streambox/sweeps.py", "await give_up(d, message, f\"stopped {d['attempts']} times without a result\", log)",
          "await bury(message, f\"stopped {d['attempts']} times without a result\")"),
         ("streambox/sweeps.py", "await give_up(d, message, \"not delivered within a day\", log)",
          "await bury(message, \"not delivered within a day\")"),
     ]},
    {"id": "m-token-means-done", "kind": "mistake", "job": "deliver-webhook",
     "what": "The token became the memory: it lives a day, is never given back, and who does not get it drops the "
             "message as a duplicate. After an error or a crash every retry is such a duplicate: the webhook is lost",
     "edits": [
         ("streambox/settings.py", "token_ttl: int = 55  # more than a POST may take, less than the first delay\n",
          "token_ttl: int = 24 * 3600\n"),
         ("streambox/tokens.py", "        try:\n            yield owner\n        finally:\n"
                                 "            await release(redis, key, owner)\n\n\n"
                                 "async def release(redis, key, owner):\n"
                                 "    \"\"\"Ours may have expired meanwhile: never take away somebody else's.\"\"\"\n"
                                 "    async with redis.pipeline() as pipe:\n        try:\n"
                                 "            await pipe.watch(key)\n"
                                 "            if await pipe.get(key) == owner.encode():\n"
                                 "                pipe.multi()\n                pipe.delete(key)\n"
                                 "                await pipe.execute()\n"
                                 "        except WatchError:\n            pass\n",
          "        yield owner\n"),
         ("streambox/tokens.py", "from redis.exceptions import WatchError\n", ""),
         (TASKS, "        log.info(\"webhook put off, another worker holds its token\")\n        raise\n",
          "        log.info(\"webhook skipped, duplicate\")\n        return \"duplicate\"\n"),
     ]},
    {"id": "m-new-event-id", "kind": "mistake", "job": "deliver-webhook",
     "what": "Every request gets an id of its own (\"easier to find in the customer's logs\"): customers cannot "
             "recognise the second of two",
     "edits": [
         (TASKS, "            event_id=delivery[\"event_id\"], body=delivery[\"body\"])\n",
          "            event_id=f\"evt_{uuid.uuid4().hex}\", body=delivery[\"body\"])\n"),
         (TASKS, "import time\n\nfrom loguru", "import time\nimport uuid\n\nfrom loguru"),
     ]},
    {"id": "m-bind-dropped", "kind": "mistake", "job": "deliver-webhook",
     "what": "logger.bind() without keeping what it returns: no line tells which webhook started, is retried, "
             "failed or was delivered",
     "edits": [
         (TASKS, "    log = logger.bind(job=delivery[\"event_id\"], video=video_id, event=event)\n",
          "    log = logger\n    log.bind(job=delivery[\"event_id\"], video=video_id, event=event)\n"),
         ("streambox/sweeps.py", "        log = logger.bind(job=d[\"event_id\"], video=d[\"video_id\"], event=d[\"event\"], attempt=d[\"attempts\"])\n",
          "        log = logger\n        log.bind(job=d[\"event_id\"], video=d[\"video_id\"], event=d[\"event\"], attempt=d[\"attempts\"])\n"),
     ]},
    {"id": "m-endless", "kind": "mistake", "job": "deliver-webhook",
     "what": "A big customer was down for a night, so the limit went: a webhook that cannot be delivered is "
             "tried for ever and never becomes a dead letter",
     "edits": [
         (TASKS, "        default_retry_count=settings.max_attempts,\n", "        default_retry_count=1_000_000,\n"),
         (TASKS, "    if attempt > settings.max_attempts:\n"
                 "        await give_up(delivery, message, f\"stopped {settings.max_attempts} times without a result\", log)\n"
                 "        return \"failed\"\n", ""),
         (TASKS, "        if attempt < settings.max_attempts:\n"
                 "            log.warning(\"webhook will be retried: {}: {}\", type(e).__name__, e)\n"
                 "            raise\n"
                 "        await give_up(delivery, message, f\"out of attempts, last error {type(e).__name__}: {e}\", log)\n"
                 "        return \"failed\"\n",
          "        log.warning(\"webhook will be retried: {}: {}\", type(e).__name__, e)\n"
          "        raise\n"),
         ("streambox/sweeps.py", "        if d[\"attempts\"] >= settings.max_attempts:\n"
                                 "            await give_up(d, message, f\"stopped {d['attempts']} times without a result\", log)\n"
                                 "        elif d", "        if d"),
         ("streambox/sweeps.py", "from streambox.settings import settings\n", ""),
     ]},
]
