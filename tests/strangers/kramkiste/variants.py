"""Versions of base: edits are (path, old text, new text); an empty old text writes the file new."""

JOBS = '''"""What every job of ours does around its work: count, try again, bury, say so."""
import functools
import json
import logging
import sqlite3

from arq import Retry

log = logging.getLogger("kramkiste.jobs")


class Permanent(Exception):
    """Ends a job; its text goes into the dead letter."""


class Passing(Exception):
    """Worth another try."""


def job(name, attempts, wait, key_of, bury):
    def decorate(work):
        @functools.wraps(work)
        async def run(ctx, **message):
            key, done = key_of(message), [ctx["job_try"]]

            def say(outcome, level=logging.INFO, **more):
                about = {"job": name, "id": ctx.get("job_id"), "key": key, "attempt": done[0], "outcome": outcome}
                log.log(level, json.dumps({**about, **more}))

            def count(n):
                done[0] = max(done[0], n)
                if done[0] > attempts:
                    raise Permanent(f"{attempts} attempts came to no end")

            say("started")
            try:
                try:
                    say(await work(message, count))
                except Permanent as e:
                    say("dead" if bury(key, message, str(e)) else "nothing to do", logging.ERROR, reason=str(e))
                except Passing as e:
                    if done[0] >= attempts:
                        say("dead" if bury(key, message, str(e)) else "nothing to do", logging.ERROR, reason=str(e))
                    else:
                        say("retry", logging.WARNING, reason=str(e))
                        raise Retry(defer=wait(done[0])) from None
            except sqlite3.OperationalError as e:
                if ctx["job_try"] >= attempts:
                    say("failed", logging.ERROR, reason=str(e))
                    raise
                say("retry", logging.WARNING, reason=str(e))
                raise Retry(defer=wait(ctx["job_try"])) from None

        return run

    return decorate
'''

OK_DECORATOR_WORKER = '''import asyncio
import hashlib
import json
import logging
import os
import smtplib
import sqlite3
import uuid

from arq import cron
from arq.connections import RedisSettings

from . import db, hooks, mail, shop
from .jobs import Passing, Permanent, job

logging.getLogger("httpx").setLevel(logging.WARNING)
EVENTS = uuid.UUID("6f3b1f5e-6f0c-4a51-9d0e-2b1a5b8f0c11")


class BadMessage(Permanent):
    pass


class NoSuchSale(Permanent):
    pass


def wait(n):
    return min(10 * 4 ** (n - 1), 600)


def key_of(message):
    order_id = message.get("order_id")
    if set(message) == {"order_id"} and type(order_id) is int and 0 < order_id < 2**53:
        return str(order_id)
    return "bad-" + hashlib.sha1(json.dumps(message, sort_keys=True).encode()).hexdigest()


def _bury(*args):
    return db.bury(*args)


@job("notify-sale", attempts=5, wait=wait, key_of=key_of, bury=_bury)
async def notify_sale(message, count):
    if key_of(message).startswith("bad-"):
        raise BadMessage("not one order_id above zero")
    sale = db.begin(message["order_id"])
    if sale is None:
        raise NoSuchSale("no such sale")
    if sale.status != "open":
        return "nothing to do"
    count(sale.attempts)
    if not sale.mailed_at:
        await write_to_buyer(sale)
        db.mailed(sale.order_id)
    await call_shop(sale)
    db.hooked(sale.order_id)
    return "done"


async def write_to_buyer(sale):
    text = f"You bought: {sale.title}\\nPrice: {sale.price_cents / 100:.2f} EUR\\n"
    message_id = f"<sale-{sale.order_id}@kramkiste.example>"
    try:
        await asyncio.to_thread(mail.send, sale.buyer_mail, "It is yours", text, message_id)
    except smtplib.SMTPRecipientsRefused as e:
        kind = Passing if all(code < 500 for code, _ in e.recipients.values()) else Permanent
        raise kind("mailbox refused") from None
    except smtplib.SMTPResponseException as e:
        raise (Passing if e.smtp_code < 500 else Permanent)(f"smtp {e.smtp_code}") from None
    except smtplib.SMTPNotSupportedError:
        raise Permanent("smtp: not supported") from None
    except (smtplib.SMTPException, OSError) as e:
        raise Passing(type(e).__name__) from None
    except sqlite3.Error:
        raise
    except Exception as e:
        raise Permanent(type(e).__name__) from None


async def call_shop(sale):
    event = {"event": "sold", "order": sale.order_id, "title": sale.title, "cents": sale.price_cents}
    event_id = str(uuid.uuid5(EVENTS, f"sold/{sale.order_id}"))
    try:
        await hooks.deliver(sale.hook_url, sale.hook_secret, event, event_id=event_id)
    except hooks.HookDown as e:
        raise Passing(f"HookDown {e}") from None
    except hooks.HookRefused as e:
        raise Permanent(f"HookRefused {e}") from None
    except OSError as e:
        raise Passing(type(e).__name__) from None


async def requeue(ctx):
    await shop.requeue()


class WorkerSettings:
    functions = [notify_sale]
    cron_jobs = [cron(requeue, minute={5, 35})]
    redis_settings = RedisSettings.from_dsn(os.environ.get("KRAMKISTE_REDIS", "redis://localhost"))
    job_timeout = 120
    max_tries = 50  # ours are counted in notices
    keep_result = 0  # a kept result would block the job id for requeue
'''

VARIANTS = [
    {
        "id": "ok-decorator", "kind": "correct", "job": "notify-sale",
        "what": "A decorator counts, retries and buries; adapters' errors are translated into Passing and Permanent; event ids are uuid5 of the order; logs are JSON",
        "edits": [
            ("kramkiste/jobs.py", "", JOBS),
            ("kramkiste/worker.py", "", OK_DECORATOR_WORKER),
            ("tests/test_notify.py", '''world["hooks"] == ["sale-1"]''', '''len(world["hooks"]) == 1'''),
            ("tests/test_notify.py", '''== "SMTPRecipientsRefused"''', '''== "mailbox refused"'''),
            (".skillrun/jobs/notify-sale.yaml", '''    - {type: "kramkiste.worker:TooManyAttempts", effects: []}
''', ""),
        ],
    },
    {
        "id": "ok-steps", "kind": "correct", "job": "notify-sale",
        "what": "What is done is a row of its own in steps (order_id, step); the step 'closed', inserted once, guards the count of sales; one more look at steps just before each effect",
        "edits": [
            ("kramkiste/db.py", '''    attempts integer not null default 0, mailed_at text, hooked_at text, touched_at text);
''', '''    attempts integer not null default 0, touched_at text);
create table if not exists steps (
    order_id integer not null references notices, step text not null, at text not null,
    primary key (order_id, step)) without rowid;
'''),
            ("kramkiste/db.py", '''    attempts: int
    mailed_at: str | None
    hooked_at: str | None
''', '''    attempts: int
'''),
            ("kramkiste/db.py", '''            " n.status, n.attempts, n.mailed_at, n.hooked_at from notices n"
''', '''            " n.status, n.attempts from notices n"
'''),
            ("kramkiste/db.py", '''def mailed(order_id):
    with tx() as c:
        c.execute("update notices set mailed_at = coalesce(mailed_at, ?) where order_id = ?", (now(), order_id))


def hooked(order_id):
    """The last step: ticks it off, closes the notice and counts the sale, once."""
    with tx() as c:
        changed = c.execute(
            "update notices set status = 'done', hooked_at = ? where order_id = ? and status != 'done'",
            (now(), order_id),
        ).rowcount
        if changed:
''', '''def has(order_id, step):
    with tx() as c:
        return bool(c.execute("select 1 from steps where order_id = ? and step = ?", (order_id, step)).fetchone())


def tick(order_id, step, conn=None):
    """True for the one who ticked it off."""
    if conn is None:
        with tx() as conn:
            return tick(order_id, step, conn)
    return conn.execute("insert or ignore into steps values (?, ?, ?)", (order_id, step, now())).rowcount == 1


def close(order_id):
    """Closes the notice and counts the sale, once."""
    with tx() as c:
        if tick(order_id, "closed", c):
            c.execute("update notices set status = 'done' where order_id = ?", (order_id,))
'''),
            ("kramkiste/worker.py", '''    if not sale.mailed_at:
''', '''    if not db.has(sale.order_id, "mail"):
'''),
            ("kramkiste/worker.py", '''        db.mailed(sale.order_id)
    if not sale.hooked_at:
''', '''        db.tick(sale.order_id, "mail")
    if not db.has(sale.order_id, "hook"):
'''),
            ("kramkiste/worker.py", '''event_id=number)
    db.hooked(sale.order_id)
''', '''event_id=number)
        db.tick(sale.order_id, "hook")
    db.close(sale.order_id)
'''),
            (".skillrun/jobs/notify-sale.yaml", "table notices (status, mailed_at, hooked_at)", "table steps (order_id, step)"),
            (".skillrun/jobs/notify-sale.yaml", "    notices: select order_id, status, mailed_at is not null, hooked_at is not null from notices order by 1\n",
             "    notices: select order_id, status from notices order by 1\n    steps: select order_id, step from steps order by 1, 2\n"),
        ],
    },
    {
        "id": "m-event-id", "kind": "mistake", "job": "notify-sale",
        "what": "Promise: webhook keyed. Event ids are random now and kept in the notice, but begin writes a new one at every attempt: the shop has taken the event, the answer is lost "
                "(or the worker dies before hooked commits), the next attempt sends the same sale under another id: two sales at the shop",
        "edits": [
            ("kramkiste/db.py", "import sqlite3\n", "import sqlite3\nimport uuid\n"),
            ("kramkiste/db.py", "mailed_at text, hooked_at text, touched_at text);", "mailed_at text, hooked_at text, touched_at text, event_id text);"),
            ("kramkiste/db.py", "    hooked_at: str | None\n", "    hooked_at: str | None\n    event_id: str\n"),
            ("kramkiste/db.py", '''            "update notices set attempts = attempts + 1, touched_at = ? where order_id = ? and status = 'open'",
            (now(), order_id),
''', '''            "update notices set attempts = attempts + 1, touched_at = ?, event_id = ?"
            " where order_id = ? and status = 'open'",
            (now(), str(uuid.uuid4()), order_id),
'''),
            ("kramkiste/db.py", "n.mailed_at, n.hooked_at from notices n", "n.mailed_at, n.hooked_at, n.event_id from notices n"),
            ("kramkiste/worker.py", "event, event_id=number)", "event, event_id=sale.event_id)"),
            ("tests/test_notify.py", '''world["hooks"] == ["sale-1"]''', '''len(world["hooks"]) == 1'''),
        ],
    },
    {
        "id": "m-tick-first", "kind": "mistake", "job": "notify-sale",
        "what": "Promise: mail at least once, a death loses nothing. The tick is taken before the mail, so that two workers never both write, and given back if sending fails; "
                "killed between tick and mail server the redelivery finds it ticked: the sale is done and the buyer never hears of it",
        "edits": [
            ("kramkiste/db.py", '''def mailed(order_id):
    with tx() as c:
        c.execute("update notices set mailed_at = coalesce(mailed_at, ?) where order_id = ?", (now(), order_id))
''', '''def take_mail(order_id):
    """True for the one worker that may write to the buyer."""
    with tx() as c:
        return c.execute(
            "update notices set mailed_at = ? where order_id = ? and mailed_at is null", (now(), order_id)
        ).rowcount


def give_mail_back(order_id):
    with tx() as c:
        c.execute("update notices set mailed_at = null where order_id = ?", (order_id,))
'''),
            ("kramkiste/worker.py", '''    if not sale.mailed_at:
        text''', '''    if db.take_mail(sale.order_id):
        text'''),
            ("kramkiste/worker.py", '''        await asyncio.to_thread(
            mail.send, sale.buyer_mail, "It is yours", text, f"<{number}@kramkiste.example>"
        )
        db.mailed(sale.order_id)
''', '''        try:
            await asyncio.to_thread(
                mail.send, sale.buyer_mail, "It is yours", text, f"<{number}@kramkiste.example>"
            )
        except Exception:
            db.give_mail_back(sale.order_id)
            raise
'''),
        ],
    },
    {
        "id": "m-count", "kind": "mistake", "job": "notify-sale",
        "what": "Promise: the state is that of one run. hooked trusts begin to have looked at the status and no longer looks itself: two deliveries at once both pass begin, "
                "both send (the shop drops one), both count: sellers.sales is 2 for one sale",
        "edits": [
            ("kramkiste/db.py", '''    """The last step: ticks it off, closes the notice and counts the sale, once."""
    with tx() as c:
        changed = c.execute(
            "update notices set status = 'done', hooked_at = ? where order_id = ? and status != 'done'",
            (now(), order_id),
        ).rowcount
        if changed:
            c.execute(
                "update sellers set sales = sales + 1 where id = (select seller_id from orders where id = ?)",
                (order_id,),
            )
            c.execute("delete from dead_letters where job = 'notify-sale' and key = ?", (str(order_id),))
''', '''    """The last step: ticks it off, closes the notice and counts the sale."""
    with tx() as c:
        c.execute("update notices set status = 'done', hooked_at = ? where order_id = ?", (now(), order_id))
        c.execute(
            "update sellers set sales = sales + 1 where id = (select seller_id from orders where id = ?)",
            (order_id,),
        )
        c.execute("delete from dead_letters where job = 'notify-sale' and key = ?", (str(order_id),))
'''),
        ],
    },
    {
        "id": "m-stale", "kind": "mistake", "job": "notify-sale",
        "what": "Promise: recovers. requeue looks for notices without touched_at alone, since arq brings killed jobs back itself: a message that is lost after it was enqueued (Redis restarted, "
                "expired, or the job ended on a locked database at its fifth try) leaves the notice open with touched_at set, and nothing ever picks it up",
        "edits": [
            ("kramkiste/shop.py", '''    """Enqueue notices that never were, or that have stood still."""
    stale = (datetime.now(timezone.utc) - STALE).isoformat(timespec="seconds")
''', '''    """Enqueue notices that never were; a job whose worker died comes back by itself."""
'''),
            ("kramkiste/shop.py", '''            "select order_id from notices where status = 'open' and (touched_at is null or touched_at < ?)"
            " order by order_id",
            (stale,),
''', '''            "select order_id from notices where status = 'open' and touched_at is null order by order_id"
'''),
            ("kramkiste/shop.py", "from datetime import datetime, timedelta, timezone\n", ""),
            ("kramkiste/shop.py", "STALE = timedelta(minutes=20)\n", ""),
        ],
    },
]
