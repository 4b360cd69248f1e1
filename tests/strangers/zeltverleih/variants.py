"""Versions of base/: edits are (path, old, new); an empty old writes the whole file."""

JOB = "refund-deposit"

HIDDEN_QUEUE = '''"""The table refunds as a queue. A claim hides its row for a while; its number tells the claims apart."""
from sqlalchemy import case, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from .tables import cash_book, dead_letters, engine, refunds

MAX_TRIES = 5
KEY_GOOD_FOR = 20 * 3600


def claim(now, hide_seconds):
    """The row that has been due for longest, due again in `hide_seconds` if nothing more is heard of it."""
    longest = (
        select(refunds.c.id)
        .where(refunds.c.state == "due", refunds.c.next_at <= now)
        .order_by(refunds.c.next_at, refunds.c.id)
        .limit(1)
        .scalar_subquery()
    )
    with engine().begin() as conn:
        return conn.execute(
            update(refunds)
            .where(refunds.c.id == longest)
            .values(
                next_at=now + hide_seconds,
                tries=refunds.c.tries + 1,
                first_try_at=case((refunds.c.first_try_at.is_(None), now), else_=refunds.c.first_try_at),
            )
            .returning(*refunds.c)
        ).one_or_none()


def finish(refund, refund_id, now):
    """Done, with its line in the cash book. False if there is one already."""
    with engine().begin() as conn:
        line = conn.execute(
            insert(cash_book)
            .values(rental_id=refund.rental_id, kind="deposit refund", cents=-refund.amount_cents, at=now)
            .on_conflict_do_nothing(index_elements=["rental_id", "kind"])
        )
        if not line.rowcount:
            return False
        conn.execute(update(refunds).where(refunds.c.id == refund.id).values(state="done", refund_id=refund_id))
        conn.execute(delete(dead_letters).where(dead_letters.c.refund == refund.id))
    return True


def put_off(refund, until):
    """Due at `until`. False if it was claimed again meanwhile, or is done."""
    return _change(refund, next_at=until)


def bury(refund, reason, now):
    with engine().begin() as conn:
        if not conn.execute(_latest(refund).values(state="dead")).rowcount:
            return False
        conn.execute(insert(dead_letters).values(refund=refund.id, reason=reason, tries=refund.tries, at=now))
    return True


def revive(refund_id, now):
    """Five tries more, while the provider still knows the key."""
    with engine().begin() as conn:
        revived = conn.execute(
            update(refunds).where(
                refunds.c.id == refund_id, refunds.c.state == "dead", refunds.c.first_try_at > now - KEY_GOOD_FOR
            ).values(state="due", tries=0, next_at=now)
        ).rowcount
        if revived:
            conn.execute(delete(dead_letters).where(dead_letters.c.refund == refund_id))
    return bool(revived)


def _change(refund, **values):
    with engine().begin() as conn:
        return bool(conn.execute(_latest(refund).values(**values)).rowcount)


def _latest(refund):
    return update(refunds).where(
        refunds.c.id == refund.id, refunds.c.state == "due", refunds.c.tries == refund.tries
    )
'''

VARIANTS = [
    {
        "id": "ok-hidden", "kind": "correct", "job": JOB,
        "what": "No owner and no until: one UPDATE ... RETURNING claims a row and hides it by moving next_at (a visibility timeout), the number of the try fences putting off and burying; "
                "the unique line in the cash book decides who finishes; structlog's contextvars carry the job through a JSON log",
        "edits": [
            ("zeltverleih/refund_queue.py", "", HIDDEN_QUEUE),
            ("zeltverleih/tables.py", '''    Column("lease_owner", String),
    Column("lease_until", Float),
''', ""),
            ("zeltverleih/tables.py", '''    Column("cents", Integer, nullable=False),
    Column("at", Float, nullable=False),
)
''', '''    Column("cents", Integer, nullable=False),
    Column("at", Float, nullable=False),
    UniqueConstraint("rental_id", "kind"),
)
'''),
            ("zeltverleih/tables.py", '''    CheckConstraint, Column, Float, ForeignKey, Integer, MetaData, String, Table, create_engine, event,
''', '''    CheckConstraint, Column, Float, ForeignKey, Integer, MetaData, String, Table, UniqueConstraint, create_engine, event,
'''),
            ("zeltverleih/refunds.py", '''import structlog
from sqlalchemy.exc import OperationalError
''', '''import structlog
from sqlalchemy.exc import OperationalError
from structlog.contextvars import bound_contextvars
'''),
            ("zeltverleih/refunds.py", '''    job_id = uuid.uuid4().hex
    refund = refund_queue.claim(job_id, time.time(), settings.lease_seconds)
    if refund is None:
        return False
    said = log.bind(job="refund-deposit", job_id=job_id, key=refund.id, attempt=refund.tries)
    said.info("refund claimed", outcome="started")
    try:
        handle(refund, said)
    except OperationalError as exc:
        said.warning("database away, the lease will run out", outcome="left", reason=type(exc.orig).__name__)
        raise
    return True


def handle(refund, said):
''', '''    refund = refund_queue.claim(time.time(), settings.lease_seconds)
    if refund is None:
        return False
    with bound_contextvars(job="refund-deposit", job_id=uuid.uuid4().hex, key=refund.id, attempt=refund.tries):
        log.info("refund claimed", outcome="started")
        try:
            handle(refund)
        except OperationalError as exc:
            log.warning("database away, the row will show again", outcome="left", reason=type(exc.orig).__name__)
            raise
    return True


def handle(refund):
'''),
            ("zeltverleih/refunds.py", '''            return give_up(refund, exc, said)
        wait''', '''            return give_up(refund, exc)
        wait'''),
            ("zeltverleih/refunds.py", '''            said.warning("refund put off", outcome="retry", wait=wait, reason=describe(exc))
        else:
            said.info("refund is somebody else's", outcome="lease lost", reason=describe(exc))
    except Exception as exc:
        give_up(refund, exc, said)
    else:
        said.info("refund made", outcome="done" if first else "done before")
''', '''            log.warning("refund put off", outcome="retry", wait=wait, reason=describe(exc))
        else:
            log.info("refund was claimed again", outcome="overtaken", reason=describe(exc))
    except Exception as exc:
        give_up(refund, exc)
    else:
        log.info("refund made", outcome="done" if first else "done before")
'''),
            ("zeltverleih/refunds.py", '''def give_up(refund, exc, said):
    if refund_queue.bury(refund, describe(exc), time.time()):
        said.error("refund given up", outcome="dead", reason=describe(exc))
    else:
        said.info("refund is somebody else's", outcome="lease lost", reason=describe(exc))
''', '''def give_up(refund, exc):
    if refund_queue.bury(refund, describe(exc), time.time()):
        log.error("refund given up", outcome="dead", reason=describe(exc))
    else:
        log.info("refund was claimed again", outcome="overtaken", reason=describe(exc))
'''),
            ("zeltverleih/logs.py", '''            structlog.processors.add_log_level,
''', '''            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
'''),
            ("zeltverleih/logs.py", '''            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event", "job", "job_id", "key"]),
''', '''            structlog.processors.JSONRenderer(),
'''),
            ("tests/test_refunds.py", '''refund_queue.claim("killed", clock.now, 120)
''', '''refund_queue.claim(clock.now, 120)
'''),
            ("tests/test_refunds.py", '''refund_queue.claim(f"killed-{n}", clock.now, 120)
''', '''refund_queue.claim(clock.now, 120)
'''),
            (".skillrun/jobs/refund-deposit.yaml", '''      A refund is asked for under the key of its row at every try, only while it is due and leased;
      its line in the cash book is written with the change to done, which happens once
    guarded_by: conditional updates of refunds (state, lease_owner, lease_until); unique (rental_id)
''', '''      A refund is asked for under the key of its row at every try, only while it is due;
      its line in the cash book is written once, with the change to done
    guarded_by: unique (rental_id, kind) on cash_book; conditional updates of refunds (state, next_at, tries)
'''),
        ],
    },
    {
        "id": "m-new-key", "kind": "mistake", "job": JOB,
        "what": "Promise: refund keyed by the row's Idempotency-Key. Since the provider repeats its stored answer under a key, a 500 too, a try that ended in HTTP 5xx puts the row off with a new key. "
                "The provider makes the refund and its gateway answers 502/503: the next try asks under another key, and the deposit is refunded twice",
        "edits": [
            ("zeltverleih/refund_queue.py", '''def put_off(refund, until):
    """Free again, and due at `until`. False if the lease is somebody else's by now."""
    with engine().begin() as conn:
        return bool(conn.execute(
            update(refunds).where(_held(refund)).values(next_at=until, lease_owner=None, lease_until=None)
        ).rowcount)
''', '''def put_off(refund, until, **values):
    """Free again, and due at `until`. False if the lease is somebody else's by now."""
    with engine().begin() as conn:
        return bool(conn.execute(
            update(refunds).where(_held(refund)).values(next_at=until, lease_owner=None, lease_until=None, **values)
        ).rowcount)
'''),
            ("zeltverleih/refunds.py", '''        if refund_queue.put_off(refund, time.time() + wait):
''', '''        fresh = {"idempotency_key": f"deposit-{uuid.uuid4()}"} if "HTTP 5" in describe(exc) else {}
        if refund_queue.put_off(refund, time.time() + wait, **fresh):
'''),
            ("tests/test_refunds.py", '''(0,)] and len(set(provider.keys)) == 1
''', '''(0,)]
'''),
        ],
    },
    {
        "id": "m-two-commits", "kind": "mistake", "job": JOB,
        "what": "Promise: the state is that of one run (a line in the cash book for each refund that is done). The cash book has a function of its own, with a transaction of its own, called after the row was committed as done. "
                "Killed between the two commits, or the second finds the database locked: the row is done, no poll claims it any more, and the line is missing for ever",
        "edits": [
            ("zeltverleih/refund_queue.py", '''        if first:
            conn.execute(insert(cash_book).values(
                rental_id=refund.rental_id, kind="deposit refund", cents=-refund.amount_cents, at=now
            ))
            conn.execute(delete(dead_letters).where(dead_letters.c.refund == refund.id))
    return bool(first)
''', '''        if first:
            conn.execute(delete(dead_letters).where(dead_letters.c.refund == refund.id))
    if first:
        enter(refund.rental_id, "deposit refund", -refund.amount_cents, now)
    return bool(first)
'''),
            ("zeltverleih/refund_queue.py", "import and_, delete, func, insert, or_, select, update\n\nfrom .tables import cash_book, dead_letters, engine, refunds\n",
             "import and_, delete, func, insert, or_, select, update\n\nfrom .cash import enter\nfrom .tables import dead_letters, engine, refunds\n"),
            ("zeltverleih/cash.py", "", '''from sqlalchemy import func, insert, select

from .tables import cash_book, engine


def enter(rental_id, kind, cents, at):
    with engine().begin() as conn:
        conn.execute(insert(cash_book).values(rental_id=rental_id, kind=kind, cents=cents, at=at))


def balance():
    with engine().connect() as conn:
        return conn.execute(select(func.coalesce(func.sum(cash_book.c.cents), 0))).scalar_one()
'''),
        ],
    },
    {
        "id": "m-failed-since", "kind": "mistake", "job": JOB,
        "what": "Promise: refund keyed within the provider's window of 24 hours. The time from which the key's age is reckoned is written when a try fails (put_off), not when one begins. "
                "The provider makes the refund, the worker is killed before finish (power cut on Saturday), and the pollers come back after more than a day: failed_since is null, the check lets the row pass, "
                "the provider has forgotten the key and refunds a second time",
        "edits": [
            ("zeltverleih/tables.py", '''    Column("first_try_at", Float),
''', '''    Column("failed_since", Float),
'''),
            ("zeltverleih/refund_queue.py", '''                tries=refunds.c.tries + 1,
                first_try_at=func.coalesce(refunds.c.first_try_at, now),
''', '''                tries=refunds.c.tries + 1,
'''),
            ("zeltverleih/refund_queue.py", '''def put_off(refund, until):
    """Free again, and due at `until`. False if the lease is somebody else's by now."""
    with engine().begin() as conn:
        return bool(conn.execute(
            update(refunds).where(_held(refund)).values(next_at=until, lease_owner=None, lease_until=None)
        ).rowcount)
''', '''def put_off(refund, now, wait):
    """Free again, and due after `wait`. False if the lease is somebody else's by now."""
    with engine().begin() as conn:
        return bool(conn.execute(
            update(refunds).where(_held(refund)).values(
                next_at=now + wait,
                failed_since=func.coalesce(refunds.c.failed_since, now),
                lease_owner=None,
                lease_until=None,
            )
        ).rowcount)
'''),
            ("zeltverleih/refund_queue.py", '''                refunds.c.id == refund_id, refunds.c.state == "dead", refunds.c.first_try_at > now - KEY_GOOD_FOR
            )''', '''                refunds.c.id == refund_id,
                refunds.c.state == "dead",
                func.coalesce(refunds.c.failed_since, now) > now - KEY_GOOD_FOR,
            )'''),
            ("zeltverleih/refunds.py", '''        if refund_queue.put_off(refund, time.time() + wait):
''', '''        if refund_queue.put_off(refund, time.time(), wait):
'''),
            ("zeltverleih/refunds.py", '''    if refund.first_try_at < time.time() - KEY_GOOD_FOR:
''', '''    if refund.failed_since and refund.failed_since < time.time() - KEY_GOOD_FOR:
'''),
            ("tests/test_refunds.py", "refund_queue.put_off(old, 0) and", "refund_queue.put_off(old, 0, 30) and"),
        ],
    },
]
