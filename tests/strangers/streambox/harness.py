"""python harness.py [base|variant]: runs the handler with a faked customer and Redis, retries as the broker's
middleware asks for them, and prints what came of it."""
import asyncio
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from variants import VARIANTS

name = sys.argv[1] if len(sys.argv) > 1 else "base"
tree = Path(tempfile.mkdtemp()) / "repo"
shutil.copytree(Path(__file__).parent / "base", tree, ignore=shutil.ignore_patterns("__pycache__"))
for variant in VARIANTS:
    if variant["id"] == name:
        for path, old, new in variant["edits"]:
            file = tree / path
            if old:
                text = file.read_text()
                assert text.count(old) == 1, (path, old, text.count(old))
                new = text.replace(old, new)
            file.write_text(new)
DB = os.environ["STREAMBOX_DB"] = str(tree / "h.db")
os.chdir(tree)
sys.path.insert(0, str(tree))

import fakeredis  # noqa: E402
from loguru import logger  # noqa: E402
from taskiq import TaskiqMessage, TaskiqResult  # noqa: E402
from streambox import db, sweeps, tasks, tokens, webhooks  # noqa: E402
from streambox.settings import settings  # noqa: E402

lines, script, posts, again = [], [], [], []
logger.remove()
logger.add(lambda m: lines.append("evt_" in str(m.record["extra"].get("job"))),
           filter=lambda r: r["message"].startswith("webhook "))


class Killed(BaseException):
    pass


async def post(*args, **kwargs):
    """None takes place, an error does not, ("lost", error) does both."""
    step = script.pop(0) if script else None
    if isinstance(step, BaseException):
        raise step
    posts.append(kwargs.get("event_id") or kwargs.get("dedupe_id"))
    if step:
        raise step[1]


async def add_schedule(schedule):
    again.append(schedule)


if hasattr(webhooks, "Customer"):
    webhooks.Customer.tell = post
else:
    webhooks.post_webhook = post
tasks.retries.add_schedule = add_schedule
server = fakeredis.FakeServer()
tokens.redis_client = lambda: fakeredis.FakeAsyncRedis(server=server)


def sql(query, *args):
    with sqlite3.connect(DB) as connection:
        return connection.execute(query, args).fetchall()


def wait():
    """The minute until the next try is over: tokens and leases that live shorter are gone."""
    global server
    if settings.token_ttl < 60:
        server = fakeredis.FakeServer()
        if hasattr(webhooks, "Customer"):
            sql("delete from leases")


async def deliver(message):
    labels = {"retry_on_error": True}
    for tries in range(1, 13):
        again.clear()
        try:
            await tasks.deliver_webhook(**message)
        except Killed:
            wait()
            continue
        except Exception as e:
            m = TaskiqMessage(task_id="t", task_name="deliver_webhook", labels=labels, args=[], kwargs=message)
            r = TaskiqResult(is_err=True, return_value=None, execution_time=0, error=e)
            await tasks.broker.middlewares[0].on_error(m, r, e)
        if not again:
            return tries
        labels = again[0].labels
        wait()
    return f"{tries}+"


MESSAGE = {"video_id": "vid_000001", "event": "video.ready"}


def case(title, steps=(), times=1, message=MESSAGE):
    global server
    server = fakeredis.FakeServer()
    Path(DB).unlink(missing_ok=True)
    asyncio.run(db.create(demo=True))
    script[:], posts[:], lines[:] = steps, [], []
    tries = [asyncio.run(deliver(message)) for _ in range(times)]
    if "swept" in title:
        async def kiq(**kwargs):
            await deliver(kwargs)
        tasks.deliver_webhook.kiq = kiq
        sql("update deliveries set touched_at = ?", time.time() - 3600)
        asyncio.run(sweeps.requeue_stalled())
    rows = sql("select status from deliveries")
    print(f"{title:22} posts={len(posts)} ids={len(set(posts))} rows={rows} "
          f"dead={sql('select count(*) from dead_letters')[0][0]} tries={tries} "
          f"lines={len(lines)} named={sum(lines)}")


print(f"== {name}")
down, no = webhooks.WebhookDown("HTTP 503"), webhooks.WebhookRejected("HTTP 410")
case("once")
case("twice", times=2)
case("down once", [down])
case("answer lost", [("lost", down)])
case("killed before", [Killed()])
case("killed after", [("lost", Killed())])
case("rejected", [no] * 20)
case("always down, swept", [down] * 40)
case("always killed, swept", [Killed() for _ in range(40)])
case("bad message", message={"video_id": 1, "event": "video.ready"})
shutil.rmtree(tree.parent)
