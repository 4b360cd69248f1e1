import asyncio
import sqlite3
import time

import fakeredis
import pytest
from loguru import logger
from taskiq.exceptions import SendTaskError

from streambox import db, sweeps, tasks, tokens, videos, webhooks
from streambox.settings import settings

MSG = {"video_id": "vid_000001", "event": "video.ready"}


class Post:
    def __init__(self):
        self.errors, self.calls = [], []

    async def __call__(self, url, secret, event_id, body):
        self.calls.append((event_id, body))
        if self.errors:
            raise self.errors.pop(0)
        return 200


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch):
    server = fakeredis.FakeServer()
    monkeypatch.setattr(settings, "db", str(tmp_path / "t.db"))
    monkeypatch.setattr(tokens, "redis_client", lambda: fakeredis.FakeAsyncRedis(server=server))
    asyncio.run(db.create(demo=True))


@pytest.fixture
def post(monkeypatch):
    post = Post()
    monkeypatch.setattr(webhooks, "post_webhook", post)
    return post


@pytest.fixture
def kicks(monkeypatch):
    kicks = []

    async def kiq(**kwargs):
        kicks.append(kwargs)

    monkeypatch.setattr(tasks.deliver_webhook, "kiq", kiq)
    return kicks


def deliver(**message):
    return asyncio.run(tasks.deliver_webhook(**(message or MSG)))


def sql(query):
    with sqlite3.connect(settings.db) as connection:
        return connection.execute(query).fetchall()


def test_once(post):
    assert deliver() == "delivered"
    assert deliver() == "delivered"
    assert len(post.calls) == 1


def test_two_at_once(post, monkeypatch):
    async def overtaken(**kwargs):
        post.calls.append(kwargs)
        with pytest.raises(tokens.Busy):
            await tasks.deliver_webhook(**MSG)

    monkeypatch.setattr(webhooks, "post_webhook", overtaken)
    assert deliver() == "delivered"
    assert len(post.calls) == 1


def test_retries_send_the_same_bytes_and_end(post):
    post.errors = [webhooks.WebhookDown("HTTP 503")] * 9
    for _ in range(4):
        with pytest.raises(webhooks.WebhookDown):
            deliver()
    assert deliver() == "failed"
    assert len(post.calls) == 5 and len(set(post.calls)) == 1
    assert "503" in sql("select reason from dead_letters")[0][0]


def test_rejected_is_final(post):
    post.errors = [webhooks.WebhookRejected("HTTP 410")]
    assert deliver() == "failed"
    assert sql("select status, attempts from deliveries") == [("failed", 1)]


def test_bad_messages(post):
    for _ in range(2):
        assert asyncio.run(tasks.deliver_webhook()) == "bad message"
        assert deliver(video_id="vid_000003", event="video.ready") == "bad message"
    assert len(sql("select * from dead_letters")) == 2 and not post.calls


def test_every_line_names_its_job(post):
    lines = []
    sink = logger.add(lines.append, format="{extra[job]} {message}", filter=lambda r: "job" in r["extra"])
    post.errors = [webhooks.WebhookDown("HTTP 503")]
    with pytest.raises(webhooks.WebhookDown):
        deliver()
    deliver()
    logger.remove(sink)
    eid = db.event_id(**MSG)
    assert [line.split(eid)[1].strip() for line in lines] == [
        "webhook started", "webhook will be retried: WebhookDown: HTTP 503", "webhook started", "webhook delivered"]


def test_publishes_after_commit_and_sweeps_what_is_left(kicks, monkeypatch):
    asyncio.run(videos.transcoded("vid_000001"))
    assert kicks == [MSG]

    async def down(**kwargs):
        raise SendTaskError()

    with monkeypatch.context() as m:
        m.setattr(tasks.deliver_webhook, "kiq", down)
        asyncio.run(videos.transcoded("vid_000002"))
    asyncio.run(sweeps.publish_pending())
    asyncio.run(sweeps.publish_pending())
    assert [k["video_id"] for k in kicks] == ["vid_000001", "vid_000002"]


def test_stalled(kicks):
    asyncio.run(videos.transcoded("vid_000001"))
    with sqlite3.connect(settings.db) as connection:
        connection.execute("update deliveries set touched_at = ?", (time.time() - 3600,))
    asyncio.run(sweeps.requeue_stalled())
    asyncio.run(sweeps.requeue_stalled())
    assert kicks == [MSG, MSG]


def test_cancelled(post, kicks):
    asyncio.run(videos.transcoded("vid_000001"))
    asyncio.run(videos.cancel_webhooks("vid_000001"))
    assert deliver() == "cancelled"
    assert not post.calls


def test_signature():
    assert webhooks.sign("whsec_1", 1, "{}") == webhooks.sign("whsec_1", 1, "{}")
    assert webhooks.sign("whsec_1", 1, "{}").startswith("t=1,v1=")
