import asyncio
import hashlib
import json
import logging
import os
import smtplib
import sqlite3

from arq import Retry, cron
from arq.connections import RedisSettings

from . import db, hooks, mail, shop

log = logging.getLogger("kramkiste")
logging.getLogger("httpx").setLevel(logging.WARNING)
ATTEMPTS = 5


class BadMessage(Exception):
    pass


class NoSuchSale(Exception):
    pass


class TooManyAttempts(Exception):
    pass


async def notify_sale(ctx, **message):
    key, tried = key_of(message), ctx["job_try"]
    try:
        await attempt(ctx, key, message)
    except sqlite3.OperationalError as e:
        if tried >= ATTEMPTS:
            say(logging.ERROR, ctx, key, tried, "failed, left to requeue", e)
            raise
        say(logging.WARNING, ctx, key, tried, "retry", e)
        raise Retry(defer=wait(tried)) from e


async def attempt(ctx, key, message):
    n = ctx["job_try"]
    try:
        if key.startswith("bad-"):
            raise BadMessage("not one order_id above zero")
        sale = db.begin(message["order_id"])
        if sale is None:
            raise NoSuchSale(key)
        if sale.status != "open":
            return say(logging.INFO, ctx, key, n, "nothing to do")
        n = max(n, sale.attempts)
        say(logging.INFO, ctx, key, n, "started")
        if n > ATTEMPTS:
            raise TooManyAttempts(f"{ATTEMPTS} attempts came to no end")
        await tell(sale)
        say(logging.INFO, ctx, key, n, "done")
    except sqlite3.OperationalError:
        raise
    except Exception as e:
        if passes(e) and n < ATTEMPTS:
            say(logging.WARNING, ctx, key, n, "retry", e)
            raise Retry(defer=wait(n)) from e
        buried = db.bury(key, message, reason(e))
        say(logging.ERROR, ctx, key, n, "dead" if buried else "nothing to do", e)


async def tell(sale):
    number = f"sale-{sale.order_id}"
    if not sale.mailed_at:
        text = f"You bought: {sale.title}\nPrice: {sale.price_cents / 100:.2f} EUR\n"
        await asyncio.to_thread(
            mail.send, sale.buyer_mail, "It is yours", text, f"<{number}@kramkiste.example>"
        )
        db.mailed(sale.order_id)
    if not sale.hooked_at:
        event = {"event": "sold", "order": sale.order_id, "title": sale.title, "cents": sale.price_cents}
        await hooks.deliver(sale.hook_url, sale.hook_secret, event, event_id=number)
    db.hooked(sale.order_id)


def passes(e):
    if isinstance(e, smtplib.SMTPResponseException):
        return e.smtp_code < 500
    if isinstance(e, smtplib.SMTPRecipientsRefused):  # 450: greylisted
        return all(code < 500 for code, _ in e.recipients.values())
    if isinstance(e, smtplib.SMTPNotSupportedError):
        return False
    return isinstance(e, (hooks.HookDown, smtplib.SMTPException, OSError))


def reason(e):
    if isinstance(e, smtplib.SMTPResponseException):
        return f"{type(e).__name__} {e.smtp_code}"
    if isinstance(e, (smtplib.SMTPException, OSError)):
        return type(e).__name__
    return f"{type(e).__name__}: {e}"


def wait(n):
    return min(10 * 4 ** (n - 1), 600)


def key_of(message):
    order_id = message.get("order_id")
    if set(message) == {"order_id"} and type(order_id) is int and 0 < order_id < 2**53:
        return str(order_id)
    return "bad-" + hashlib.sha1(json.dumps(message, sort_keys=True).encode()).hexdigest()


def say(level, ctx, key, n, outcome, e=None):
    why = f" reason={reason(e)!r}" if e else ""
    log.log(level, f"job=notify-sale id={ctx.get('job_id')} key={key} attempt={n} outcome={outcome}{why}")


async def requeue(ctx):
    await shop.requeue()


class WorkerSettings:
    functions = [notify_sale]
    cron_jobs = [cron(requeue, minute={5, 35})]
    redis_settings = RedisSettings.from_dsn(os.environ.get("KRAMKISTE_REDIS", "redis://localhost"))
    job_timeout = 120
    max_tries = 50  # ours are counted in notices
    keep_result = 0  # a kept result would block the job id for requeue
