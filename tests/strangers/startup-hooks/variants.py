"""Other ways to be right, and mistakes that pass review."""

JOBS, KIT, EVENTS = "hooks/jobs.py", "hooks/jobkit.py", "hooks/events.py"
J = dict(job="deliver")

COMMIT = '''    with tx() as db:
        won = db.execute(
            "update deliveries set status = 'sent', receipt = ? where event_id = ? and partner = ? and status = 'pending'",
            (receipt, event_id, partner),
        ).rowcount
        if won:
            db.execute("update partners set billed_calls = billed_calls + 1 where name = ?", (partner,))
'''
POST = '''    receipt = partners.post(row["url"], body, row["secret"], webhook_id=f"{event_id}:{partner}")
'''
WRAPPER = '''            left = task.retries if task else 0
            try:
                result = fn(*args, **payload)
            except TRANSIENT as exc:
                if left:
                    log.warning("job failed, again later", extra={"job": fn.__name__, "payload": payload, "left": left, "error": repr(exc)})
                else:
                    bury(fn.__name__, payload, exc, on_dead)
                raise
            except Exception as exc:
                bury(fn.__name__, payload, exc, on_dead)
                raise CancelExecution(repr(exc), retry=False) from exc
            log.info("job done", extra={"job": fn.__name__, "payload": payload})
            return result
'''
BRANCH = '''                if left:
                    log.warning("job failed, again later", extra={"job": fn.__name__, "payload": payload, "left": left, "error": repr(exc)})
                else:
                    bury(fn.__name__, payload, exc, on_dead)
                raise
            except'''
DEAD_LOG = '    log.error("job dead", extra={"job": name, "payload": payload, "error": repr(exc)})\n'
DEAD_WHERE = "set status = 'dead' where event_id = ? and partner = ? and status = 'pending'\",\n        (str(payload.get(\"event_id\")), str(payload.get(\"partner\"))),"

VARIANTS = [
    # ------------------------------------------------------------------ correct
    dict(id="ok-recheck-under-lock", kind="correct", **J,
         what="Inside BEGIN IMMEDIATE the status is read again and the row written plainly.",
         edits=[(JOBS, COMMIT, '''    with tx() as db:
        where = (event_id, partner)
        status = db.execute("select status from deliveries where event_id = ? and partner = ?", where).fetchone()[0]
        if status != "pending":
            return
        db.execute("update partners set billed_calls = billed_calls + 1 where name = ?", (partner,))
        db.execute("update deliveries set status = 'sent', receipt = ? where event_id = ? and partner = ?", (receipt, *where))
''')]),
    dict(id="ok-ledger-table", kind="correct", **J,
         what="A ledger of billed calls with a primary key decides; INSERT OR IGNORE and its rowcount.",
         edits=[("hooks/db.py", "create table if not exists dead_jobs", "create table if not exists ledger (event_id text, partner text, primary key (event_id, partner));\ncreate table if not exists dead_jobs"),
                (JOBS, COMMIT, '''    with tx() as db:
        fresh = db.execute("insert or ignore into ledger values (?, ?)", (event_id, partner)).rowcount == 1
        if fresh:
            db.execute("update partners set billed_calls = billed_calls + 1 where name = ?", (partner,))
            db.execute(
                "update deliveries set status = 'sent', receipt = ? where event_id = ? and partner = ?",
                (receipt, event_id, partner),
            )
''')]),
    dict(id="ok-peewee", kind="correct", **J,
         what="The job's own tables through peewee models instead of raw SQL.",
         edits=[("hooks/models.py", "", '''from peewee import CharField, CompositeKey, IntegerField, Model, SqliteDatabase, TextField

from . import settings

database = SqliteDatabase(settings.DB, timeout=20)


class Table(Model):
    class Meta:
        database = database


class Partner(Table):
    name = CharField(primary_key=True)
    url = CharField()
    secret = CharField()
    active = IntegerField(default=1)
    billed_calls = IntegerField(default=0)

    class Meta:
        table_name = "partners"


class Event(Table):
    id = CharField(primary_key=True)
    kind = CharField()
    body = TextField()

    class Meta:
        table_name = "events"


class Delivery(Table):
    event_id = CharField()
    partner = CharField()
    status = CharField(default="pending")
    receipt = CharField(null=True)

    class Meta:
        table_name = "deliveries"
        primary_key = CompositeKey("event_id", "partner")


def mark_sent(event_id, partner, receipt):
    this = (Delivery.event_id == event_id) & (Delivery.partner == partner) & (Delivery.status == "pending")
    with database.connection_context(), database.atomic("IMMEDIATE"):
        if Delivery.update(status="sent", receipt=receipt).where(this).execute():
            Partner.update(billed_calls=Partner.billed_calls + 1).where(Partner.name == partner).execute()


def find(event_id, partner):
    with database.connection_context():
        delivery = Delivery.get_or_none(Delivery.event_id == event_id, Delivery.partner == partner)
        if delivery is None:
            return None, None, None
        return delivery, Event.get_by_id(event_id), Partner.get_by_id(partner)
'''),
                (JOBS, COMMIT, "    models.mark_sent(event_id, partner, receipt)\n"),
                (JOBS, '''    row = one(
        "select d.status, e.kind, e.body, p.url, p.secret, p.active from deliveries d"
        " join events e on e.id = d.event_id join partners p on p.name = d.partner"
        " where d.event_id = ? and d.partner = ?",
        event_id, partner,
    )
    if row is None:
''', '''    delivery, event, who = models.find(event_id, partner)
    if delivery is None:
'''),
                (JOBS, 'if row["status"] != "pending":', 'if delivery.status != "pending":'),
                (JOBS, '"status": row["status"]}', '"status": delivery.status}'),
                (JOBS, 'if not row["active"]:', 'if not who.active:'),
                (JOBS, '"kind": row["kind"], "data": json.loads(row["body"])}', '"kind": event.kind, "data": json.loads(event.body)}'),
                (JOBS, 'partners.post(row["url"], body, row["secret"],', 'partners.post(who.url, body, who.secret,'),
                (JOBS, "from . import partners\nfrom .db import one, tx\n", "from . import models, partners\n")]),
    dict(id="ok-signal", kind="correct", **J,
         what="huey's error signal buries what has no retries left; the wrapper only sets retries to 0 for final errors.",
         edits=[(KIT, WRAPPER, '''            try:
                result = fn(*args, **payload)
            except TRANSIENT:
                raise
            except Exception:
                if task:
                    task.retries = 0
                raise
            log.info("job done", extra={"job": fn.__name__, "payload": payload})
            return result

        if on_dead:
            ON_DEAD[fn.__name__] = on_dead
'''),
                (KIT, "def job(attempts", '''ON_DEAD = {}


@huey.signal(SIGNAL_ERROR)
def failed(signal, task, exc=None):
    payload = {k: v for k, v in task.kwargs.items() if k != "task"}
    if task.retries:
        log.warning("job failed, again later", extra={"job": task.name, "payload": payload, "left": task.retries, "error": repr(exc)})
    else:
        bury(task.name, payload, exc, ON_DEAD.get(task.name))


def job(attempts'''),
                (KIT, "from huey.exceptions import CancelExecution", "from huey.signals import SIGNAL_ERROR")]),
    dict(id="ok-message-logging", kind="correct", **J,
         what="The wrapper is built on a context manager, and the job is named in the message text, by key=value.",
         edits=[(KIT, WRAPPER, '''            with watched(fn.__name__, payload, task, on_dead):
                return fn(*args, **payload)
'''),
                (KIT, "def job(attempts", '''def named(name, payload):
    return " ".join([f"job={name}", *(f"{k}={v!r}" for k, v in sorted(payload.items()))])


@contextlib.contextmanager
def watched(name, payload, task, on_dead):
    try:
        yield
    except Exception as exc:
        passing = isinstance(exc, TRANSIENT)
        if passing and task is not None and task.retries > 0:
            log.warning("%s will be tried %d more times: %r", named(name, payload), task.retries, exc)
            raise
        bury(name, payload, exc, on_dead)
        if passing:
            raise
        raise CancelExecution(str(exc), retry=False) from exc
    log.info("%s done", named(name, payload))


def job(attempts'''),
                (KIT, DEAD_LOG, '    log.error("%s is dead: %r", named(name, payload), exc)\n'),
                (KIT, "import functools\n", "import contextlib\nimport functools\n")]),
    # ----------------------------------------------------------------- mistakes
    dict(id="bad-id-random", kind="mistake", **J,
         what="A fresh Webhook-Id for each attempt.",
         edits=[(JOBS, 'webhook_id=f"{event_id}:{partner}"', "webhook_id=uuid.uuid4().hex"), (JOBS, "import logging\n", "import logging\nimport uuid\n")]),
    dict(id="bad-id-shared", kind="mistake", **J,
         what="The Webhook-Id is partner, kind and day: the partner ignores the second event of the day.",
         edits=[(JOBS, 'webhook_id=f"{event_id}:{partner}"', "webhook_id=f\"{partner}:{row['kind']}:{date.today()}\""), (JOBS, "import logging\n", "import logging\nfrom datetime import date\n")]),
    dict(id="bad-bill-always", kind="mistake", **J,
         what="The call is billed whether or not this delivery won the update.",
         edits=[(JOBS, "        if won:\n            db.execute(", "        log.debug(\"updated %s rows\", won)\n        db.execute(")]),
    dict(id="bad-bill-first", kind="mistake", **J,
         what="The call is billed before it is made, in a transaction of its own: every retry bills again.",
         edits=[(JOBS, POST, '''    with tx() as db:
        db.execute("update partners set billed_calls = billed_calls + 1 where name = ?", (partner,))
''' + POST), (JOBS, '''        won = db.execute(
            "update deliveries set''', '''        db.execute(
            "update deliveries set'''), (JOBS, '''        ).rowcount
        if won:
            db.execute("update partners set billed_calls = billed_calls + 1 where name = ?", (partner,))
''', "        )\n")]),
    dict(id="bad-sent-first", kind="mistake", **J,
         what="The row is claimed as sent before the POST, against double sending: a failed POST is never made again.",
         edits=[(JOBS, POST, ""), (JOBS, COMMIT, COMMIT.replace("status = 'sent', receipt = ? where", "status = 'sent' where").replace("(receipt, event_id", "(event_id") + '''    if not won:
        return
''' + POST + '''    with tx() as db:
        db.execute("update deliveries set receipt = ? where event_id = ? and partner = ?", (receipt, event_id, partner))
''')]),
    dict(id="bad-where-event", kind="mistake", **J,
         what="The update lacks the partner: the event counts as sent for all partners.",
         edits=[(JOBS, "receipt = ? where event_id = ? and partner = ? and status = 'pending'\",\n            (receipt, event_id, partner),", "receipt = ? where event_id = ? and status = 'pending'\",\n            (receipt, event_id),")]),
    dict(id="bad-dead-where", kind="mistake", **J,
         what="mark_dead lacks the partner: one partner's refusal kills the event for all.",
         edits=[(JOBS, DEAD_WHERE, "set status = 'dead' where event_id = ? and status = 'pending'\",\n        (str(payload.get(\"event_id\")),),")]),
    dict(id="bad-swallowed", kind="mistake", **J,
         what="The wrapper logs any error and returns, 'a job must not take the worker down'.",
         edits=[(KIT, WRAPPER, '''            try:
                result = fn(*args, **payload)
            except Exception:
                log.exception("job failed", extra={"job": fn.__name__, "payload": payload})
                return None
            log.info("job done", extra={"job": fn.__name__, "payload": payload})
            return result
''')]),
    dict(id="bad-retry-everything", kind="mistake", **J,
         what="One except for all errors: refusals and malformed messages are tried five times.",
         edits=[(KIT, "            except TRANSIENT as exc:\n" + BRANCH + " Exception as exc:\n                bury(fn.__name__, payload, exc, on_dead)\n                raise CancelExecution(repr(exc), retry=False) from exc\n",
                 "            except Exception as exc:\n" + BRANCH[:-len("            except")])]),
    dict(id="bad-retrytask", kind="mistake", **J,
         what="RetryTask is raised for a longer wait; it does not count against the retries, so it never ends.",
         edits=[(KIT, BRANCH, BRANCH.replace("                raise\n", "                raise RetryTask(repr(exc), delay=delay * 2 ** (attempts - left)) from exc\n")),
                (KIT, "import CancelExecution", "import CancelExecution, RetryTask")]),
    dict(id="bad-dead-key", kind="mistake", **J,
         what="The dead letter stores the positional arguments, always empty here: the second dead job collides with the first.",
         edits=[(KIT, "(name, json.dumps(payload, sort_keys=True), repr(exc)),", "(name, json.dumps(args), repr(exc)),"),
                (KIT, "def bury(name, payload, exc, on_dead=None):", "def bury(name, payload, exc, on_dead=None, args=()):")]),
    dict(id="bad-nameless", kind="mistake", **J,
         what="Neither the log nor the dead letter says which delivery failed.",
         edits=[(KIT, DEAD_LOG, '    log.error("job dead", extra={"job": name, "error": repr(exc)})\n'),
                (KIT, 'extra={"job": fn.__name__, "payload": payload, "left": left, "error"', 'extra={"job": fn.__name__, "left": left, "error"'),
                (KIT, "json.dumps(payload, sort_keys=True)", "json.dumps(sorted(payload))")]),
    dict(id="bad-extra-name", kind="mistake", **J,
         what="extra={'name': ...} overwrites a field of LogRecord: logging raises KeyError, and the final error is retried.",
         edits=[(KIT, DEAD_LOG, '    log.error("job dead", extra={"name": name, "payload": payload, "error": repr(exc)})\n')]),
    dict(id="bad-no-burial", kind="mistake", **J,
         what="A passing error that has used up its attempts is only raised: huey logs it and nothing is recorded.",
         edits=[(KIT, BRANCH, '''                log.warning("job failed", extra={"job": fn.__name__, "payload": payload, "left": left, "error": repr(exc)})
                raise
            except''')]),
    dict(id="bad-off-by-one", kind="mistake", **J,
         what="The job is buried when one retry is left; the fifth attempt finds it dead.",
         edits=[(KIT, "                if left:\n", "                if left > 1:\n")]),
    dict(id="bad-publish-in-tx", kind="mistake", **J,
         unpromised="the spec publishes by resend; emit, which has the mistake, is not a part of it",
         what="emit publishes inside the transaction; the worker may not find the delivery.",
         edits=[(EVENTS, "[(event_id, n) for n in names])\n    for name in names:\n        deliver(event_id=event_id, partner=name)\n", "[(event_id, n) for n in names])\n        for name in names:\n            deliver(event_id=event_id, partner=name)\n")]),
    dict(id="bad-sweep-only-retried", kind="mistake", **J,
         what="The sweep looks for rows without receipt that are 'failed', a status that nothing sets: a killed worker's job is lost.",
         edits=[(EVENTS, "from deliveries where status = 'pending'", "from deliveries where status = 'failed' and receipt is null")]),
    dict(id="bad-gone-is-done", kind="mistake", **J,
         what="A refusal counts as done, 'they unsubscribed': the delivery stays pending, nothing is recorded.",
         edits=[(JOBS, POST, '''    try:
        receipt = partners.post(row["url"], body, row["secret"], webhook_id=f"{event_id}:{partner}")
    except partners.PartnerRefused as exc:
        log.info("partner refused", extra={"event_id": event_id, "partner": partner, "error": str(exc)})
        return
''')]),
]
