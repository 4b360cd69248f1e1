"""Versions of base: edits are (path, old text, new text); an empty old text writes the file new."""

OK_KIT = '''"""What every job of the house does around its work: lines in the log, and the way to the dead debits."""
import functools
import logging

from huey import CancelExecution

from kassenwart import bank, debits
from kassenwart.models import database


class JobLog(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        return "%s %s" % (" ".join("%s=%s" % pair for pair in self.extra.items()), msg), kwargs


def buried(retries):
    """The function gets its message as a mapping and returns the outcome."""

    def wrap(function):
        @functools.wraps(function)
        def run(task=None, **message):
            left = task.retries if task else 0
            log = JobLog(
                logging.getLogger(function.__module__),
                {
                    "job": function.__name__,
                    "id": task.id if task else "-",
                    "key": debits.name_of(message),
                    "attempt": retries + 1 - left,
                },
            )
            log.info("outcome=started")
            try:
                with database.connection_context():
                    outcome = function(message)
            except Exception as error:
                hopeless = isinstance(error, (debits.Hopeless, bank.DebitReturned))
                if left and not hopeless:
                    log.warning("outcome=retry wait=%s reason=%s", task.retry_delay, type(error).__name__)
                    raise
                with database.connection_context():
                    moved = debits.give_up(message, "%s: %s" % (type(error).__name__, error))
                log.error("outcome=%s reason=%s", "dead" if moved else "superseded", type(error).__name__)
                if hopeless:
                    raise CancelExecution(type(error).__name__, retry=False) from error
                raise
            log.info("outcome=%s", outcome)

        return run

    return wrap
'''

OK_TASKS = '''from huey import crontab

from kassenwart import bank, debits, dues
from kassenwart.jobkit import buried
from kassenwart.queue import huey

RETRIES = 4


# after 60 s, 2, 4 and 8 minutes
@huey.task(retries=RETRIES, retry_delay=60, retry_backoff=2, context=True)
@buried(RETRIES)
def collect_debit(message):
    if not debits.well_formed(message):
        raise debits.BadMessage("fields: %s" % ", ".join(sorted(message)))
    debit = debits.start(**message)
    if debit is None:
        return "skipped"
    reference = bank.HouseBank().submit_debit(
        end_to_end_id="BEITRAG-%s-%s" % (debit.member_id, debit.month),
        mandate=debit.member.mandate,
        iban=debit.member.iban,
        amount_cents=debit.amount_cents,
        purpose="Beitrag %s" % debit.month,
    )
    return "booked" if debits.book(debit, reference) else "known"


@huey.periodic_task(crontab(minute="*/5"))
def relay():
    dues.enqueue_unqueued()


@huey.periodic_task(crontab(minute="*/30"))
def sweep():
    dues.sweep_debits()
'''

BOOK_OLD = '''        line = (
            LedgerLine.insert(
                member=debit.member_id,
                month=debit.month,
                amount_cents=debit.amount_cents,
                bank_reference=bank_reference,
            )
            .on_conflict_ignore()
            .as_rowcount()
            .execute()
        )
        if not line:
            return False
        DeadDebit.delete()'''

VARIANTS = [
    {
        "id": "ok-ledger", "kind": "correct", "job": "collect-debit",
        "what": "The ledger alone says whether a debit is done: start, give_up, the relay and the sweep ask it, its unique index refuses a second line (IntegrityError); the state is only shown. A decorator of the house around the task, a LoggerAdapter",
        "edits": [
            ("kassenwart/jobkit.py", "", OK_KIT),
            ("kassenwart/tasks.py", "", OK_TASKS),
            ("kassenwart/debits.py", '''def key_of(member_id, month):
    return "%s:%s" % (member_id, month)
''', '''def key_of(member_id, month):
    return "%s:%s" % (member_id, month)


def name_of(message):
    return key_of(**message) if well_formed(message) else "malformed"


def in_ledger(member_id, month):
    return LedgerLine.select().where(LedgerLine.member == member_id, LedgerLine.month == month).exists()


def outstanding():
    line = LedgerLine.select().where(LedgerLine.member == Debit.member, LedgerLine.month == Debit.month)
    return Debit.select().where(~pw.fn.EXISTS(line)).order_by(Debit.id)
'''),
            ("kassenwart/debits.py", "import json\n\nfrom", "import json\n\nimport peewee as pw\n\nfrom"),
            ("kassenwart/debits.py", '''        return debit.state == "open" and debit.queued_at is None
''', '''        return debit.queued_at is None and not in_ledger(member_id, month)
'''),
            ("kassenwart/debits.py", '''        Debit.member == member_id, Debit.month == month, Debit.state == "open"
    ).execute()''', '''        Debit.member == member_id, Debit.month == month
    ).execute()'''),
            ("kassenwart/debits.py", '''    query = Debit.select().where(Debit.state == "open", Debit.queued_at.is_null()).order_by(Debit.id)
''', '''    query = outstanding().where(Debit.queued_at.is_null())
'''),
            ("kassenwart/debits.py", '''    query = Debit.select().where(Debit.state == "open", Debit.touched_at <= edge).order_by(Debit.id)
''', '''    query = outstanding().where(Debit.touched_at <= edge)
'''),
            ("kassenwart/debits.py", '''        if debit.state != "open":
            return None
''', '''        if in_ledger(member_id, month):
            return None
'''),
            ("kassenwart/debits.py", '''    with write():
''' + BOOK_OLD, '''    with write():
        try:
            LedgerLine.create(
                member=debit.member_id,
                month=debit.month,
                amount_cents=debit.amount_cents,
                bank_reference=bank_reference,
            )
        except pw.IntegrityError:
            return False
        DeadDebit.delete()'''),
            ("kassenwart/debits.py", '''            if debit is not None and debit.state == "booked":
                return False
''', '''            if in_ledger(member_id, month):
                return False
'''),
        ],
    },
    {
        "id": "m-task-id", "kind": "mistake", "job": "collect-debit",
        "what": "The EndToEndId is the task's id, 'one id from the queue to the bank statement'. Breaks the keyed guarantee: Huey keeps the id through its retries, but the worker is killed after the bank has taken the debit and before book() commits; the message is gone, sweep_debits puts a new task in, with a new id, and the bank debits the member twice",
        "edits": [
            ("kassenwart/tasks.py", '''outcome = collect(message["member_id"], message["month"])''', '''outcome = collect(job_id, message["member_id"], message["month"])'''),
            ("kassenwart/tasks.py", "def collect(member_id, month):", "def collect(job_id, member_id, month):"),
            ("kassenwart/tasks.py", '''        end_to_end_id="BEITRAG-%s-%s" % (debit.member_id, debit.month),
''', '''        end_to_end_id=job_id.replace("-", ""),
'''),
            ("README.md", "under `BEITRAG-<member>-<month>`, which", "under the id of its task, which"),
            ("tests/test_collect.py", '''    assert house_bank.debits == {
        "BEITRAG-1-2026-03": 1800, "BEITRAG-2-2026-03": 900, "BEITRAG-3-2026-03": 1800,
    }
''', '''    assert sorted(house_bank.debits.values()) == [900, 1800, 1800]
'''),
            ("tests/test_collect.py", '''    assert LedgerLine.get().bank_reference == "ref-BEITRAG-1-2026-03"
''', '''    assert LedgerLine.get().bank_reference == "ref-" + house_bank.calls[0]
    assert len(set(house_bank.calls)) == 1
'''),
        ],
    },
    {
        "id": "m-running", "kind": "mistake", "job": "collect-debit",
        "what": "A state 'running' for the treasurer's list: start() sets it, a retry may start a running debit, and the sweep still looks for open ones. Breaks recovers (and 'a death loses nothing'): a worker is killed in the middle of a task, the message is gone, the debit is 'running'; no sweep and no command puts it into the queue again, it is neither booked nor dead",
        "edits": [
            ("kassenwart/debits.py", '''        if debit.state != "open":
            return None
''', '''        if debit.state == "booked":
            return None
'''),
            ("kassenwart/debits.py", '''        Debit.update(starts=Debit.starts + 1, touched_at=now())''', '''        Debit.update(state="running", starts=Debit.starts + 1, touched_at=now())'''),
            ("kassenwart/models.py", '''    """A fee to be collected. open -> booked; one''', '''    """A fee to be collected. open -> running -> booked; one'''),
            ("tests/test_collect.py", '''    huey.dequeue()
    debits.start(1, "2026-03")
    dues.sweep_debits()
''', '''    huey.dequeue()
    dues.sweep_debits()
'''),
        ],
    },
    {
        "id": "m-book-in-steps", "kind": "mistake", "job": "collect-debit",
        "what": "book() commits the ledger line by itself and moves the state after it. Breaks 'ledger line and state in one transaction' and the dead letter: the worker is killed (or the database fails) between the two commits; the debit stays open with a line in the ledger; each further delivery sends again, finds the line, returns False and leaves the state; after ten starts the debit, paid and in the ledger, moves to dead_debits",
        "edits": [
            ("kassenwart/debits.py", '''    with write():
''' + BOOK_OLD, '''    line = (
        LedgerLine.insert(
            member=debit.member_id,
            month=debit.month,
            amount_cents=debit.amount_cents,
            bank_reference=bank_reference,
        )
        .on_conflict_ignore()
        .as_rowcount()
        .execute()
    )
    if not line:
        return False
    with write():
        DeadDebit.delete()'''),
        ],
    },
]
