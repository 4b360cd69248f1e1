SPEC = ".skillrun/jobs/confirm-ad.yaml"

BODY = '''    if not ad["mailed"]:
        post.send(
            to=ad["email"],
            subject=f"Ihre Anzeige {ref}",
            text=f"Guten Tag {ad['customer']},\\n\\nIhre Anzeige „{ad['heading']}“ erscheint am "
                 f"Samstag und kostet {ad['cents'] / 100:.2f} Euro.\\n",
            message_id=f"<{ref}@anzeigen.talbote.example>",
        )
        confirmations.mailed(ref)
        logger.info("customer has mail")
    try:
        push.notify(title=f"Neue Anzeige {ref}", body=ad["heading"], dedupe_id=f"ad-{ref}")
    except httpx.HTTPStatusError as exc:
        if exc.response.status_code != 409:
            raise
    if confirmations.done(ref):
        logger.info("confirmed")
    else:
        logger.warning("is out, but was given up meanwhile")
'''

BODY_1 = '''    for what, step in STEPS.items():
        if what not in ad["sent"]:
            step(ad)
            confirmations.sent(ref, what)
            logger.info("{} is out", what)
    if confirmations.done(ref):
        logger.info("confirmed")
    else:
        logger.warning("is out, but was given up meanwhile")


def mail(ad):
    post.send(
        to=ad["email"],
        subject=f"Ihre Anzeige {ad['ref']}",
        text=f"Guten Tag {ad['customer']},\\n\\nIhre Anzeige „{ad['heading']}“ erscheint am "
             f"Samstag und kostet {ad['cents'] / 100:.2f} Euro.\\n",
        message_id=f"<{ad['ref']}@anzeigen.talbote.example>",
    )


def tell_desk(ad):
    try:
        push.notify(title=f"Neue Anzeige {ad['ref']}", body=ad["heading"],
                    dedupe_id=f"ad-{ad['ref']}")
    except httpx.HTTPStatusError as exc:
        if exc.response.status_code != 409:
            raise


STEPS = {"mail": mail, "push": tell_desk}
'''

MARKS = '''def mailed(ref):
    with transaction() as conn:
        conn.execute("update confirmations set mailed = 1 where ref = ?", (ref,))


def done(ref):
    with transaction() as conn:
        return conn.execute(
            "update confirmations set pushed = 1, state = 'done', crashes = 0"
            " where ref = ? and state = 'open'", (ref,),
        ).rowcount == 1
'''

MARKS_1 = '''def sent(ref, what):
    with transaction() as conn:
        conn.execute("insert or ignore into sent (ref, what) values (?, ?)", (ref, what))


def done(ref):
    with transaction() as conn:
        return conn.execute(
            "update confirmations set state = 'done', crashes = 0"
            " where ref = ? and state = 'open'", (ref,),
        ).rowcount == 1
'''

POST_2 = '''"""E-mail. Raises what smtplib raises."""

import smtplib
from email.message import EmailMessage

from . import config


class Letterbox:
    def __init__(self, host, port, sender, password=None):
        self.host, self.port, self.sender, self.password = host, port, sender, password

    def compose(self, to, subject, text, message_id):
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = self.sender, to, subject
        mail["Message-ID"] = message_id
        mail.set_content(text)
        return mail

    def send(self, *, to, subject, text, message_id):
        with smtplib.SMTP(self.host, self.port, timeout=20) as smtp:
            if self.password:
                smtp.starttls()
                smtp.login("anzeigen", self.password)
            smtp.send_message(self.compose(to, subject, text, message_id))


letterbox = Letterbox(config.MAIL["host"], config.MAIL["port"], config.MAIL["sender"],
                      config.MAIL_PASSWORD)
'''

LOG_2 = '''import logging
import sys

from . import config


class ForAd(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        return f"ad={self.extra['ref']} {msg}", kwargs


def for_ad(ref):
    return ForAd(logging.getLogger("adbox"), {"ref": ref})


def setup():
    logging.basicConfig(
        stream=sys.stderr, level=config.LOG_LEVEL, force=True,
        format="%(asctime)s %(levelname)-7s %(name)s %(message)s",
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
'''

JOBS_2 = '''import functools
import re

import httpx
from huey import SqliteHuey
from huey.exceptions import RetryTask

from . import config, confirmations, log, push
from .locks import only_one
from .post import letterbox

log.setup()

huey = SqliteHuey("adbox", filename=str(config.HOME / "queue.db"), results=False, fsync=True)


class Malformed(Exception):
    pass


def is_ref(ref):
    return isinstance(ref, str) and re.fullmatch(r"KA-[0-9]{4,9}", ref) is not None


def guarded(fn):
    """Turns how an attempt ended into what Huey is to do: nothing, or the task again."""

    @functools.wraps(fn)
    def around(*args, task=None, **kwargs):
        task_id, message = task.id if task else None, {"args": args, "kwargs": kwargs}
        if args or list(kwargs) != ["ref"] or not is_ref(kwargs["ref"]):
            exc = Malformed(repr(message))
            log.for_ad("-").error("unreadable message buried: %s", exc)
            confirmations.bury(None, task_id or repr(message), message, exc)
            return
        ref = kwargs["ref"]
        lines = log.for_ad(ref)
        with only_one(ref) as mine:
            if not mine:
                lines.info("another worker is at it")
                return
            try:
                fn(ref)
            except Exception as exc:
                delay = confirmations.failed(ref, exc)
                if delay is not None:
                    lines.warning("attempt failed, again in %d s: %r", delay, exc)
                    raise RetryTask(delay=delay) from exc
                confirmations.bury(ref, task_id or ref, message, exc)
                lines.error("given up: %r", exc, exc_info=exc)

    return around


@huey.task(context=True)
@guarded
def confirm_ad(ref):
    lines = log.for_ad(ref)
    ad = confirmations.begin(ref)
    if ad is None:
        lines.info("is settled already")
        return
    lines.info("attempt %d of %d", ad["tries"] + 1, confirmations.MAX_TRIES)
    if not ad["mailed"]:
        letterbox.send(
            to=ad["email"],
            subject=f"Ihre Anzeige {ref}",
            text=f"Guten Tag {ad['customer']},\\n\\nIhre Anzeige „{ad['heading']}“ erscheint am "
                 f"Samstag und kostet {ad['cents'] / 100:.2f} Euro.\\n",
            message_id=f"<{ref}@anzeigen.talbote.example>",
        )
        confirmations.mailed(ref)
    try:
        push.notify(title=f"Neue Anzeige {ref}", body=ad["heading"], dedupe_id=f"ad-{ref}")
    except httpx.HTTPStatusError as exc:
        if exc.response.status_code != 409:
            raise
    if confirmations.done(ref):
        lines.info("confirmed")
    else:
        lines.warning("is out, but was given up meanwhile")
'''

VERDICT = '''    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        return all(400 <= code < 500 for code, _ in exc.recipients.values())
'''

VARIANTS = [
    {"id": "ok-1", "kind": "correct", "job": "confirm-ad",
     "what": "What is out is remembered step by step in a table `sent`; the job walks through its steps",
     "edits": [
         ("adbox/db.py", "    mailed integer not null default 0,\n    pushed integer not null default 0,\n", ""),
         ("adbox/db.py", "create table if not exists graveyard (",
          "create table if not exists sent (\n    ref text not null references ads,\n"
          "    what text not null,                          -- mail, push\n"
          "    sent_at text not null default current_timestamp,\n    primary key (ref, what)\n);\n"
          "create table if not exists graveyard ("),
         ("adbox/confirmations.py", MARKS, MARKS_1),
         ("adbox/confirmations.py", "    return {**dict(ad), **dict(row)}\n",
          "        sent = conn.execute(\"select what from sent where ref = ?\", (ref,)).fetchall()\n"
          "    return {**dict(ad), **dict(row), \"sent\": {what for (what,) in sent}}\n"),
         ("adbox/jobs.py", BODY, BODY_1),
         (SPEC, "store: table confirmations", "store: table sent"),
         (SPEC, "    confirmations: select ref, state, mailed, pushed from confirmations order by ref\n",
          "    confirmations: select ref, state from confirmations order by ref\n"
          "    sent: select ref, what from sent order by 1, 2\n"),
     ]},
    {"id": "ok-2", "kind": "correct", "job": "confirm-ad",
     "what": "A decorator below the task judges, buries and returns, without Huey's signals; plain "
             "logging with an adapter; mail by a class",
     "edits": [
         ("adbox/jobs.py", "", JOBS_2),
         ("adbox/log.py", "", LOG_2),
         ("adbox/post.py", "", POST_2),
         ("adbox/desk.py", "from loguru import logger\n\nfrom .confirmations", "from . import log\nfrom .confirmations"),
         ("adbox/desk.py", 'logger.bind(ref=ref).info(', 'log.for_ad(ref).info('),
         ("adbox/rescue.py", "from loguru import logger\n\nfrom .confirmations", "\nfrom . import log\nfrom .confirmations"),
         ("adbox/rescue.py", 'logger.bind(ref=ref).warning(', 'log.for_ad(ref).warning('),
         ("tests/conftest.py", 'monkeypatch.setattr(post, "send", fake("mail"))',
          'monkeypatch.setattr(post.letterbox, "send", fake("mail"))'),
         ("requirements.txt", "loguru>=0.7\n", ""),
         (SPEC, "call: adbox.post:send", "call: adbox.post:Letterbox.send"),
     ]},
    {"id": "m-oserror-first", "kind": "mistake", "job": "confirm-ad",
     "what": "Network trouble is asked for first; but every exception of smtplib is an OSError, so that an "
             "address that does not exist is tried again to the end",
     "edits": [
         ("adbox/verdict.py", "    # refused, reset, timed out, no such host\n"
                              "    return isinstance(exc, (OSError, httpx.TransportError, sqlite3.OperationalError))\n",
          "    return False\n"),
         ("adbox/verdict.py", VERDICT,
          "    # refused, reset, timed out, no such host: by far the most of what goes wrong\n"
          "    if isinstance(exc, (OSError, httpx.TransportError, sqlite3.OperationalError)):\n"
          "        return True\n" + VERDICT),
     ]},
    {"id": "m-fresh-start", "kind": "mistake", "job": "confirm-ad",
     "what": "The rescue gives what stood still a fresh start; an ad that kills its worker is rescued for ever",
     "edits": [
         ("adbox/rescue.py", '"update confirmations set due_at = ? where state',
          '"update confirmations set due_at = ?, tries = 0, crashes = 0 where state'),
         ("adbox/rescue.py", "due_at < ? returning ref\",", "due_at < ?\"\n            \" returning ref\","),
     ]},
    {"id": "m-log-format", "kind": "mistake", "job": "confirm-ad",
     "what": "A log format from loguru's documentation, with function and line; the ad is no longer on the line, "
             "and no message tells it",
     "edits": [
         ("adbox/log.py", '"{time:YYYY-MM-DD HH:mm:ss} {level: <7} [{extra[ref]}] {message}"',
          '"{time:YYYY-MM-DD HH:mm:ss} | {level: <7} | {name}:{function}:{line} - {message}"'),
     ]},
    {"id": "m-unused-import", "kind": "mistake", "job": "confirm-ad",
     "what": "A linter's unused import is gone from what the consumer loads, and with it the periodic task: "
             "nobody rescues any more",
     "edits": [
         ("adbox/worker.py", "from . import rescue  # noqa: F401  (its periodic task)\nfrom .jobs", "from .jobs"),
     ]},
]
