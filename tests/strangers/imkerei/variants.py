"""Versions of base: edits are (path, old text, new text); an empty old text writes the file new."""

VARIANTS = [
    {
        "id": "ok-lease-table", "kind": "correct", "job": "send-reminder",
        "what": "Right in another way: no claim in the reminder's row; a table of leases of its own, held by a context manager around the sending and taken over once it has run out. Log lines through a LoggerAdapter that prefixes the pairs",
        "edits": [
            ("imkerei/models.py", '''    claims = IntegerField(default=0)
    claimed_by = CharField(null=True)
    claimed_until = DateTimeField(null=True)
''', '''    claims = IntegerField(default=0)
'''),
            ("imkerei/models.py", '''class DeadLetter(Table):
''', '''class Lease(Table):
    name = CharField(primary_key=True)
    holder = CharField()
    until = DateTimeField()


class DeadLetter(Table):
'''),
            ("imkerei/models.py", "TABLES = [Order, Reminder, DeadLetter]", "TABLES = [Order, Reminder, Lease, DeadLetter]"),
            ("imkerei/leases.py", "", '''"""Who is at what. A lease whose holder died runs out."""
import logging
import uuid
from contextlib import contextmanager
from datetime import timedelta

from peewee import PeeweeException

from imkerei.models import Lease, database, now

log = logging.getLogger(__name__)

LASTS = timedelta(minutes=10)


class Claimed(Exception):
    """Somebody else is at it."""

    def __init__(self, seconds):
        super().__init__("claimed for another %d s" % seconds)
        self.seconds = seconds


def take(name):
    holder = uuid.uuid4().hex
    with database.atomic("IMMEDIATE"):
        held = Lease.get_or_none(Lease.name == name)
        if held is not None and held.until > now():
            raise Claimed((held.until - now()).total_seconds() + 1)
        Lease.replace(name=name, holder=holder, until=now() + LASTS).execute()
    return holder


@contextmanager
def lease(name):
    holder = take(name)
    try:
        yield
    finally:
        try:
            Lease.delete().where(Lease.name == name, Lease.holder == holder).execute()
        except PeeweeException as error:
            log.warning("lease=%s outcome=kept reason=%s", name, type(error).__name__)
'''),
            ("imkerei/reminders.py", '''import uuid
from datetime import timedelta

from peewee import fn
''', '''from peewee import fn
'''),
            ("imkerei/reminders.py", '''LEASE = timedelta(minutes=10)
MAX_CLAIMS''', "MAX_CLAIMS"),
            ("imkerei/reminders.py", '''class Claimed(Exception):
    """Somebody else is at it."""

    def __init__(self, seconds):
        super().__init__("claimed for another %d s" % seconds)
        self.seconds = seconds


''', ""),
            ("imkerei/reminders.py", '''    """The reminder, claimed, and its order; or the word that says why there is nothing to send."""
    who = uuid.uuid4().hex
''', '''    """The reminder, counted, and its order; or the word that says why there is nothing to send. Under its lease."""
'''),
            ("imkerei/reminders.py", '''        if reminder.claimed_until is not None and reminder.claimed_until > now():
            raise Claimed((reminder.claimed_until - now()).total_seconds() + 1)
''', ""),
            ("imkerei/reminders.py", '''        Reminder.update(
            claims=Reminder.claims + 1, claimed_by=who, claimed_until=now() + LEASE, touched_at=now()
        ).where(this(order_id, number)).execute()
    reminder.claimed_by = who
    return reminder, order


def give_back(reminder):
    Reminder.update(claimed_by=None, claimed_until=None, touched_at=now()).where(
        this(reminder.order_id, reminder.number), Reminder.claimed_by == reminder.claimed_by
    ).execute()
''', '''        Reminder.update(claims=Reminder.claims + 1, touched_at=now()).where(this(order_id, number)).execute()
    return reminder, order
'''),
            ("imkerei/reminders.py", '''    """Whoever holds the claim by now: the mail is out."""''', '''    """Whoever holds the lease by now: the mail is out."""'''),
            ("imkerei/reminders.py", '''Reminder.update(state="sent", claimed_by=None, claimed_until=None, touched_at=now())''', '''Reminder.update(state="sent", touched_at=now())'''),
            ("imkerei/reminders.py", '''Reminder.update(state="failed", claimed_by=None, claimed_until=None, touched_at=now())''', '''Reminder.update(state="failed", touched_at=now())'''),
            ("imkerei/tasks.py", "from imkerei import config, dunning, letters, post, reminders", "from imkerei import config, dunning, leases, letters, post, reminders"),
            ("imkerei/tasks.py", '''class BadMessage(ValueError):
    pass
''', '''class BadMessage(ValueError):
    pass


class Pairs(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        return "[%s] %s" % (" ".join("%s=%s" % pair for pair in self.extra.items()), msg), kwargs
'''),
            ("imkerei/tasks.py", '''    about = "job=send_reminder id=%s key=%s attempt=%s" % (task_id, reminders.name_of(order_id, number), attempt)
''', '''    key = reminders.name_of(order_id, number)
    line = Pairs(log, {"job": "send_reminder", "id": task_id, "key": key, "attempt": attempt})
'''),
            ("imkerei/tasks.py", '''    except reminders.Claimed as error:
        log.info("%s outcome=waiting seconds=%d", about, error.seconds)
''', '''    except leases.Claimed as error:
        line.info("outcome=waiting seconds=%d", error.seconds)
'''),
            ("imkerei/tasks.py", '''            log.warning("%s outcome=retry reason=%s", about, reason)
''', '''            line.warning("outcome=retry reason=%s", reason)
'''),
            ("imkerei/tasks.py", '''        log.error("%s outcome=%s reason=%s", about, "dead" if buried else "superseded", reason)
''', '''        line.error("outcome=%s reason=%s", "dead" if buried else "superseded", reason)
'''),
            ("imkerei/tasks.py", '''    log.info("%s outcome=%s", about, outcome)
''', '''    line.info("outcome=%s", outcome)
'''),
            ("imkerei/tasks.py", '''    reminder, order = reminders.claim(order_id, number)
    if order is None:
        return reminder
    try:
        post.send_letter(
            to=order.email,
            subject=letters.subject(order, number),
            text=letters.text(order, number),
            message_id=reminder.message_id,
        )
        reminders.mark_sent(reminder)
    except Exception:
        reminders.give_back(reminder)
        raise
    return "sent"
''', '''    with leases.lease(reminders.name_of(order_id, number)):
        reminder, order = reminders.claim(order_id, number)
        if order is None:
            return reminder
        post.send_letter(
            to=order.email,
            subject=letters.subject(order, number),
            text=letters.text(order, number),
            message_id=reminder.message_id,
        )
        reminders.mark_sent(reminder)
    return "sent"
'''),
            ("tests/test_reminders.py", "from imkerei import dunning, reminders, tasks\nfrom imkerei.models import DeadLetter, Order, Reminder, now", "from imkerei import dunning, leases, reminders, tasks\nfrom imkerei.models import DeadLetter, Lease, Order, Reminder, now"),
            ("tests/test_reminders.py", '''    reminders.claim(1, 1)
    with pytest.raises(reminders.Claimed):
''', '''    leases.take("1/1")
    with pytest.raises(leases.Claimed):
'''),
            ("tests/test_reminders.py", '''    Reminder.update(claimed_until=now() - timedelta(seconds=1), touched_at=now() - timedelta(hours=1)).execute()
''', '''    leases.take("1/1")
    Lease.update(until=now() - timedelta(seconds=1)).execute()
    Reminder.update(touched_at=now() - timedelta(hours=1)).execute()
'''),
            ("tests/test_reminders.py", "Reminder.update(claims=reminders.MAX_CLAIMS, claimed_until=None)", "Reminder.update(claims=reminders.MAX_CLAIMS)"),
            ("README.md", '''1. Who sends holds the claim of the reminder: `claimed_by`, `claimed_until`. It lasts ten minutes''', '''1. Who sends holds the lease of the reminder, a row in `lease`. It lasts ten minutes'''),
            (".skillrun/jobs/send-reminder.yaml", '''  rivals: ["orders.state:paid"]
''', '''  rivals: ["orders.state:paid"]
  not_state: [lease]
'''),
        ],
    },
    {
        "id": "m-save-order", "kind": "mistake", "job": "send-reminder",
        "what": "mark_sent() counts the reminder on the order object that claim() has read, and saves it: peewee's save() writes every column. Breaks rule 2 (nothing of the order but reminded; the spec's rival orders.state:paid): the order is read as open, the SMTP dialogue takes some seconds, meanwhile the shop books the payment and commits state = paid; mark_sent() writes open over it. The order counts as unpaid, and the customer gets the next reminder after three weeks",
        "edits": [
            ("imkerei/reminders.py", "def mark_sent(reminder):", "def mark_sent(reminder, order):"),
            ("imkerei/reminders.py", '''            Order.update(reminded=fn.MAX(Order.reminded, reminder.number)).where(
                Order.id == reminder.order_id
            ).execute()
''', '''            order.reminded = max(order.reminded, reminder.number)
            order.save()
'''),
            ("imkerei/reminders.py", '''from peewee import fn

''', ""),
            ("imkerei/tasks.py", "reminders.mark_sent(reminder)", "reminders.mark_sent(reminder, order)"),
        ],
    },
]
