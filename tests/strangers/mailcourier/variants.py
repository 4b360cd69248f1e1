"""Other versions of base/: two that keep the promise in another way, four that break it."""

SPEC = ".skillrun/jobs/deliver-copy.yaml"
TASKS = "mailcourier/tasks.py"
STEPS = "mailcourier/deliveries.py"
TESTS = "tests/test_delivery.py"

OK1_TASKS = '''import logging
import sqlite3

from huey import RetryTask, SqliteHuey, crontab

from . import config, deliveries, jsonlog
from .postman import Postman, is_final, write

jsonlog.setup()

huey = SqliteHuey("mailcourier", filename=config.QUEUE, results=False)
postman = Postman()


@huey.task(name="deliver_copy", context=True)
def deliver_copy(*args, task=None, **message):
    """Mail one issue to one reader."""
    task_id = getattr(task, "id", None)
    log = logging.LoggerAdapter(
        logging.getLogger("mailcourier"), {"job": "deliver-copy", "task": task_id, "copy": message}
    )
    try:
        key = deliveries.key_of(args, message)
        claim = deliveries.Claim.take(*key)
    except (deliveries.Malformed, deliveries.NoSuchDelivery) as error:
        log.error("delivery given up: %r", error)
        deliveries.refuse(task_id, [args, message], repr(error))
        return
    except sqlite3.OperationalError as error:
        log.warning("delivery failed before it began, rescue_lost will bring it again: %r", error)
        raise
    if claim is None:
        log.info("delivery is done or in other hands")
        return
    log.info("delivery started, attempt %s", claim.attempt)
    if claim.attempt > deliveries.MAX_ATTEMPTS:
        fail(claim, "its workers died of it", log)
        return
    if not claim.row["active"]:
        claim.end("skipped")
        log.info("delivery skipped, the reader has unsubscribed")
        return
    try:
        postman.send(write(claim.row, claim.row, claim.message_id))
    except Exception as error:
        if is_final(error) or claim.attempt >= deliveries.MAX_ATTEMPTS:
            fail(claim, repr(error), log, error)
            return
        wait = 60 * 2 ** (claim.attempt - 1)
        claim.release(wait)
        log.warning("delivery failed, will be retried in %s s: %r", wait, error)
        raise RetryTask(repr(error), delay=wait)
    claim.end("sent", claim.message_id)
    log.info("delivery succeeded as %s", claim.message_id)


def fail(claim, reason, log, error=None):
    log.error("delivery given up: %s", reason, exc_info=error)
    if not claim.end("failed", reason=reason):
        log.info("delivery is in other hands by now")


@huey.periodic_task(crontab(minute="*/5"))
def send_due_issues():
    from .dispatch import dispatch_due

    dispatch_due()


@huey.periodic_task(crontab(minute="*/15"))
def take_up_lost():
    from .dispatch import rescue_lost

    rescue_lost()
'''

OK1_STEPS = '''"""The life of a delivery. Who is at it is written down in claims, apart from the delivery itself."""

import json
import time
import uuid

from . import config
from .db import transaction

MAX_ATTEMPTS = 5
LEASE = 120      # longer than the slowest conversation with the relay
IN_QUEUE = 600   # how long a message may wait in the queue before it counts as lost


class NoSuchDelivery(Exception):
    pass


class Malformed(Exception):
    pass


def now():
    return int(time.time())


def key_of(args, message):
    key = message.get("issue_id"), message.get("subscriber_id")
    if args or len(message) != 2 or not all(type(part) is int and part > 0 for part in key):
        raise Malformed(f"{args!r} {message!r}")
    return key


class Claim:
    """The right to mail one delivery, for LEASE seconds or until it is given back."""

    def __init__(self, key, row, token, attempt):
        self.key, self.row, self.token, self.attempt = key, row, token, attempt
        self.message_id = "<issue-{}.reader-{}@{}>".format(*key, config.DOMAIN)

    @classmethod
    def take(cls, *key):
        token = uuid.uuid4().hex
        with transaction() as con:
            row = con.execute(
                "select d.status, i.subject, i.body, s.id, s.email, s.name, s.active "
                "from deliveries d join issues i on i.id = d.issue_id join subscribers s on s.id = d.subscriber_id "
                "where d.issue_id = ? and d.subscriber_id = ?", key,
            ).fetchone()
            if row is None:
                raise NoSuchDelivery("issue {} for subscriber {}".format(*key))
            if row["status"] not in ("pending", "queued"):
                return None
            con.execute("insert or ignore into claims (issue_id, subscriber_id) values (?, ?)", key)
            if not con.execute(
                "update claims set token = ?, until = ?, attempts = attempts + 1 "
                "where issue_id = ? and subscriber_id = ? and until <= ?",
                (token, now() + LEASE, *key, now()),
            ).rowcount:
                return None
            attempt = con.execute("select attempts from claims where token = ?", (token,)).fetchone()[0]
        return cls(key, row, token, attempt)

    def _mine(self, con):
        return con.execute("select 1 from claims where token = ?", (self.token,)).fetchone()

    def end(self, status, message_id=None, reason=None):
        with transaction() as con:
            if status != "sent" and not self._mine(con):
                return False
            con.execute(
                "update deliveries set status = ?, message_id = ?, sent_at = ? where issue_id = ? and subscriber_id = ?",
                (status, message_id, now() if message_id else None, *self.key),
            )
            if status == "failed":
                message = json.dumps(dict(zip(("issue_id", "subscriber_id"), self.key)))
                con.execute(
                    "insert into undeliverable (issue_id, subscriber_id, message, reason, failed_at) "
                    "values (?, ?, ?, ?, ?)", (*self.key, message, reason, now()),
                )
            return True

    def release(self, wait):
        with transaction() as con:
            if self._mine(con):
                con.execute("update claims set until = 0 where token = ?", (self.token,))
                con.execute(
                    "update deliveries set status = 'queued', due_at = ? where issue_id = ? and subscriber_id = ?",
                    (now() + wait + 240, *self.key),
                )


def refuse(task_id, message, reason):
    """Record a message of which no delivery is known."""
    with transaction() as con:
        con.execute(
            "insert or ignore into undeliverable (task_id, message, reason, failed_at) values (?, ?, ?, ?)",
            (task_id, json.dumps(message, default=str), reason, now()),
        )


def lay_out():
    """One pending delivery for each active reader of each issue that has become due."""
    with transaction() as con:
        con.execute(
            "insert or ignore into deliveries (issue_id, subscriber_id) "
            "select i.id, s.id from issues i, subscribers s "
            "where i.laid_out = 0 and i.send_at <= ? and s.active = 1",
            (now(),),
        )
        con.execute("update issues set laid_out = 1 where laid_out = 0 and send_at <= ?", (now(),))


def pending(limit=config.BATCH):
    with transaction() as con:
        return con.execute(
            "select issue_id, subscriber_id from deliveries where status = 'pending' order by 1, 2 limit ?", (limit,)
        ).fetchall()


def lost(limit=config.BATCH):
    """Queued for too long, and nobody at it."""
    with transaction() as con:
        return con.execute(
            "select d.issue_id, d.subscriber_id from deliveries d left join claims c using (issue_id, subscriber_id) "
            "where d.status = 'queued' and d.due_at <= ? and coalesce(c.until, 0) <= ? order by d.due_at limit ?",
            (now(), now(), limit),
        ).fetchall()


def queued(issue_id, subscriber_id):
    with transaction() as con:
        con.execute(
            "update deliveries set status = 'queued', due_at = ? where issue_id = ? and subscriber_id = ? "
            "and (status = 'pending' or (status = 'queued' and due_at <= ?))",
            (now() + IN_QUEUE, issue_id, subscriber_id, now()),
        )
'''

OK2_POSTMAN = '''import smtplib
from email.message import EmailMessage

from . import config


class TryLater(Exception):
    """The relay is down, too busy, or greylists us; or nobody knows what came of the letter."""


class Refused(Exception):
    """The relay does not take this letter, today or tomorrow."""


def post(letter: EmailMessage) -> None:
    """Hand one letter to the SMTP relay."""
    try:
        with smtplib.SMTP(config.SMTP_HOST, config.SMTP_PORT, timeout=10) as smtp:
            if config.SMTP_USER:
                smtp.starttls()
                smtp.login(config.SMTP_USER, config.SMTP_PASSWORD)
            smtp.send_message(letter)
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        raise (Refused if code >= 500 else TryLater)(f"{code} {text!r}") from error
    except smtplib.SMTPAuthenticationError as error:
        raise TryLater(str(error)) from error
    except smtplib.SMTPResponseException as error:
        raise (Refused if error.smtp_code >= 500 else TryLater)(str(error)) from error
    except smtplib.SMTPNotSupportedError as error:
        raise Refused(str(error)) from error
    except OSError as error:
        raise TryLater(repr(error)) from error


def write(issue, subscriber, message_id) -> EmailMessage:
    letter = EmailMessage()
    try:
        letter["From"] = config.SENDER
        letter["To"] = subscriber["email"]
        letter["Subject"] = issue["subject"]
        letter["Message-ID"] = message_id
        letter["List-Unsubscribe"] = f"<https://{config.DOMAIN}/unsubscribe/{subscriber['id']}>"
        letter.set_content(f"Dear {subscriber['name']},\\n\\n{issue['body']}\\n")
    except ValueError as error:
        raise Refused(f"cannot be written: {error}") from error
    return letter
'''

OK2_TASKS = '''import logging

from huey import SqliteHuey, crontab

from . import config, deliveries, jsonlog, postman

jsonlog.setup()
log = logging.getLogger("mailcourier")

huey = SqliteHuey("mailcourier", filename=config.QUEUE, results=False)


def one_try(func):
    """A task that never raises for the queue: the deliveries table decides who is tried again.
    An attempt that ends in a surprise is taken up by the rescue, as if its worker had died."""

    def run(*args, task=None, **message):
        name = "deliver-copy {issue_id}/{subscriber_id}".format_map({"issue_id": "?", "subscriber_id": "?", **message})
        try:
            return func(name, getattr(task, "id", None), args, message)
        except Exception:
            log.exception("%s: attempt failed by surprise, will be taken up again by rescue_lost", name)

    run.__doc__ = func.__doc__
    return run


@huey.task(name="deliver_copy", context=True)
@one_try
def deliver_copy(name, task_id, args, message):
    """Mail one issue to one reader."""
    key = message.get("issue_id"), message.get("subscriber_id")
    if args or len(message) != 2 or not all(type(part) is int and part > 0 for part in key):
        log.error("%s: given up, malformed message", name)
        return deliveries.refuse(task_id, [args, message], "malformed message")
    try:
        row = deliveries.claim(*key)
    except deliveries.NoSuchDelivery as error:
        log.error("%s: given up, %r", name, error)
        return deliveries.refuse(task_id, message, repr(error))
    if row is None:
        log.info("%s: done before or in other hands", name)
        return
    attempt = row["attempts"]
    log.info("%s: attempt %s started", name, attempt)
    if not row["active"]:
        deliveries.skipped(*key, attempt)
        log.info("%s: skipped, the reader has unsubscribed", name)
        return
    message_id = "<issue-{}.reader-{}@{}>".format(*key, config.DOMAIN)
    try:
        if attempt > deliveries.MAX_ATTEMPTS:
            raise postman.Refused("its workers died of it")
        postman.post(postman.write(row, row, message_id))
    except postman.TryLater as error:
        if attempt < deliveries.MAX_ATTEMPTS:
            deliveries.put_back(*key, attempt, 240)
            log.warning("%s: attempt %s failed, will be retried with the next batch: %s", name, attempt, error)
            return
        reason = f"no success in {attempt} attempts: {error}"
    except postman.Refused as error:
        reason = f"refused: {error}"
    else:
        deliveries.sent(*key, message_id)
        log.info("%s: sent as %s", name, message_id)
        return
    log.error("%s: given up, %s", name, reason)
    deliveries.give_up(*key, attempt, reason)


@huey.periodic_task(crontab(minute="*/5"))
def send_due_issues():
    from .dispatch import dispatch_due

    dispatch_due()


@huey.periodic_task(crontab(minute="*/15"))
def take_up_lost():
    from .dispatch import rescue_lost

    rescue_lost()
'''

VARIANTS = [
    {
        "id": "ok-1", "kind": "correct", "job": "deliver-copy",
        "what": "Claims with tokens in a table of their own; RetryTask with a delay by the attempts written "
                "there instead of Huey's retries; a LoggerAdapter",
        "edits": [
            (TASKS, "", OK1_TASKS),
            (STEPS, "", OK1_STEPS),
            ("mailcourier/db.py", "create index if not exists deliveries_open", '''create table if not exists claims (
    issue_id integer not null,
    subscriber_id integer not null,
    token text unique,
    until integer not null default 0,
    attempts integer not null default 0,
    primary key (issue_id, subscriber_id)
);
create index if not exists deliveries_open'''),
            ("mailcourier/db.py", "-- pending: not in the queue yet; queued; sending; then sent", "-- pending: not in the queue yet; queued; then sent"),
            (TESTS, '("deliveries", "undeliverable", "issues", "subscribers")',
             '("claims", "deliveries", "undeliverable", "issues", "subscribers")'),
            (SPEC, "dedupe: {store: table deliveries}", "dedupe: {store: tables deliveries and claims}"),
            (SPEC, "  dead_letters: select", "  not_state: [claims]\n  dead_letters: select"),
            (SPEC, "mailcourier.deliveries:NoSuchDelivery\", effects: []}",
             "mailcourier.deliveries:NoSuchDelivery\", effects: []}\n    - {type: \"mailcourier.deliveries:Malformed\", effects: []}"),
        ],
    },
    {
        "id": "ok-2", "kind": "correct", "job": "deliver-copy",
        "what": "The queue never retries: an attempt that failed goes back to pending and comes with the next batch "
                "of dispatch_due; the adapter is a function with errors of its own; the log names the job in the text",
        "edits": [
            (TASKS, "", OK2_TASKS),
            ("mailcourier/postman.py", "", OK2_POSTMAN),
            (STEPS, '''    """The attempt failed and the queue will bring it again after so many seconds."""
    with transaction() as con:
        con.execute(
            "update deliveries set status = 'queued', due_at = ? "
''', '''    """The attempt failed: it goes out again with a batch, after so many seconds or later."""
    with transaction() as con:
        con.execute(
            "update deliveries set status = 'pending', due_at = ? "
'''),
            (STEPS, "(int(time.time()) + wait + 240, issue_id", "(int(time.time()) + wait, issue_id"),
            (STEPS, '''            "select issue_id, subscriber_id from deliveries where status = 'pending' order by 1, 2 limit ?", (limit,)
''', '''            "select issue_id, subscriber_id from deliveries where status = 'pending' and due_at <= ? "
            "order by 1, 2 limit ?",
            (int(time.time()), limit),
'''),
            (TESTS, "import smtplib\n", ""),
            (TESTS, "from mailcourier.tasks import deliver_copy, huey\n",
             "from mailcourier.postman import Refused, TryLater\nfrom mailcourier.tasks import deliver_copy, huey\n"),
            (TESTS, """    \"\"\"What the consumer does, without its waits.\"\"\"
    for _ in range(limit):
        task = huey.dequeue()
        if task is None:
            scheduled = huey.scheduled()
            if not scheduled:
                return
            huey.storage.flush_schedule()
            for task in scheduled:
                task.eta = None
                huey.enqueue(task)
        else:
            huey.execute(task)
""", """    \"\"\"What the consumer does with what is in the queue.\"\"\"
    while task := huey.dequeue():
        huey.execute(task)


def hours(n=2):
    \"\"\"The batches of the next hours.\"\"\"
    work()
    for i in range(1, 12 * n):
        with mock.patch("time.time", return_value=deliveries.time.time() + 300 * i):
            dispatch.dispatch_due()
            work()
"""),
            (TESTS, 'mock.patch.object(tasks.postman, "send",', 'mock.patch.object(tasks.postman, "post",'),
            (TESTS, """smtplib.SMTPServerDisconnected("gone")
        dispatch.request_copy(1, 1)
        work()
""", """TryLater("gone")
        dispatch.request_copy(1, 1)
        hours()
"""),
            (TESTS, """[smtplib.SMTPRecipientsRefused({"ada@example.org": (450, b"later")}), TimeoutError(), None]
        dispatch.request_copy(1, 1)
        work()
""", """[TryLater("450"), TryLater("timed out"), None]
        dispatch.request_copy(1, 1)
        hours()
"""),
            (TESTS, """smtplib.SMTPRecipientsRefused({"ada@example.org": (550, b"no such user")})
        dispatch.request_copy(1, 1)
        work()
""", """Refused("550 no such user")
        dispatch.request_copy(1, 1)
        hours()
"""),
            (SPEC, "recovers:\n", "recovers:\n  - {call: \"mailcourier.dispatch:dispatch_due\", every: 5m}\n"),
            (SPEC, "    call: mailcourier.postman:Postman.send\n", "    call: mailcourier.postman:post\n"),
            (SPEC, '''    - {type: "smtplib:SMTPServerDisconnected", args: ["Connection unexpectedly closed"], effects: [letter]}
    - {type: "smtplib:SMTPConnectError", args: [421, "too busy"], effects: [letter], unsent: true}
    - {type: "smtplib:SMTPDataError", args: [451, "try again later"], effects: [letter], unsent: true}
    - {type: ConnectionRefusedError, args: [111, "Connection refused"], effects: [letter], unsent: true}
    - {type: TimeoutError, args: ["timed out"], effects: [letter]}
''', '''    - {type: "mailcourier.postman:TryLater", args: ["451 try again later"], effects: [letter]}
'''),
            (SPEC, '''    - {type: "smtplib:SMTPRecipientsRefused", args: [{ada@example.org: [550, "no such user"]}], effects: [letter], unsent: true}
    - {type: "smtplib:SMTPDataError", args: [554, "looks like spam"], effects: [letter], unsent: true}
''', '''    - {type: "mailcourier.postman:Refused", args: ["550 no such user"], effects: [letter], unsent: true}
'''),
            (SPEC, "backoff: {kind: exponential, base: 60s, factor: 2}", "backoff: {kind: fixed, base: 4m}"),
        ],
    },
    {
        "id": "m-bounce-retried", "kind": "mistake", "job": "deliver-copy",
        "what": "Everything of smtplib is an OSError and is tried again, a refused address included",
        "edits": [
            ("mailcourier/postman.py", '''    if isinstance(error, smtplib.SMTPAuthenticationError):
        return False  # our password, not the letter
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(answer[0] >= 500 for answer in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code >= 500
    return not isinstance(error, OSError) or isinstance(error, smtplib.SMTPNotSupportedError)
''', '''    return not isinstance(error, OSError)
'''),
            ("mailcourier/postman.py", '''    """Whether the relay will say the same tomorrow: 5xx. All of smtplib's errors are OSErrors, and
    so are refused connections and timeouts."""
''', '''    """Whether it is our own mistake. What smtplib raises is an OSError, the relay may be better
    tomorrow."""
'''),
        ],
    },
    {
        "id": "m-mark-first", "kind": "mistake", "job": "deliver-copy",
        "what": "Marks the delivery sent before it is mailed, lest somebody gets two: a crash in between loses it",
        "edits": [
            (TASKS, '''    try:
        postman.send(write(row, row, message_id))
''', '''    deliveries.sent(*key, message_id)  # first, lest somebody gets it twice
    try:
        postman.send(write(row, row, message_id))
'''),
            (TASKS, '''    deliveries.sent(*key, message_id)
    log.info("delivery succeeded"''', '''    log.info("delivery succeeded"'''),
            (STEPS, '''            "update deliveries set status = 'queued', due_at = ? "
            "where issue_id = ? and subscriber_id = ? and status = 'sending' and attempts = ?",
''', '''            "update deliveries set status = 'queued', due_at = ?, message_id = null, sent_at = null "
            "where issue_id = ? and subscriber_id = ? and status in ('sending', 'sent') and attempts = ?",
'''),
            (STEPS, '''            "update deliveries set status = 'failed' "
            "where issue_id = ? and subscriber_id = ? and status = 'sending' and attempts = ?",
''', '''            "update deliveries set status = 'failed', message_id = null, sent_at = null "
            "where issue_id = ? and subscriber_id = ? and status in ('sending', 'sent') and attempts = ?",
'''),
        ],
    },
    {
        "id": "m-rescue-blind", "kind": "mistake", "job": "deliver-copy",
        "what": "The rescue looks at what is queued only: a delivery whose worker died while sending never comes back",
        "edits": [
            (STEPS, '''            "where status in ('queued', 'sending') and due_at <= ? order by due_at limit ?",
''', '''            "where status = 'queued' and due_at <= ? order by due_at limit ?",
'''),
        ],
    },
    {
        "id": "m-quiet", "kind": "mistake", "job": "deliver-copy",
        "what": "Bounces were noisy in the log, so giving up is logged at debug: no operator sees it",
        "edits": [
            (TASKS, '''    log.error("delivery given up: %s", reason, extra={**about, "reason": reason}, exc_info=error)
''', '''    log.debug("delivery given up: %s", reason, extra={**about, "reason": reason})
'''),
        ],
    },
]
