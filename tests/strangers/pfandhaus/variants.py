"""Versions of base/: edits are (path, old, new); an empty old writes the whole file."""

PAYOUT = "pay-out-loan"

VARIANTS = [
    {
        "id": "ok-one-at-a-time", "kind": "correct", "job": PAYOUT,
        "what": "One connection per job that holds a session's advisory lock on the loan through the call of the bank (it goes with the connection; "
                "waiting ends after five seconds in an OperationalError, which is tried again); start and booking are transactions of that connection; "
                "the unique row in the ledger decides who books; the log is JSON",
        "edits": [
            ("pfandhaus/db.py", '''def now():
''', '''@contextmanager
def holding(loan_id):
    """A repository of one job alone; its statements are committed one by one unless it groups them."""
    with psycopg.connect(settings.DSN, row_factory=dict_row, connect_timeout=5, autocommit=True) as conn:
        conn.execute("set lock_timeout = '5s'")
        conn.execute("select pg_advisory_lock(%s::int, %s::int)", (PAYOUT_LOCKS, loan_id))
        yield LoanRepository(conn)


def now():
'''),
            ("pfandhaus/db.py", '''from pfandhaus.loans import LoanRepository

''', '''from pfandhaus.loans import LoanRepository

PAYOUT_LOCKS = 7001
'''),
            ("pfandhaus/loans.py", '''        loan = self.conn.execute(
            "select status, amount_cents from loans where id = %s for update", (loan_id,)
        ).fetchone()
        if loan["status"] == "paid":
            return False
        self.conn.execute(
            "update loans set status = 'paid', bank_reference = %s where id = %s", (bank_reference, loan_id)
        )
        self.conn.execute(
            "insert into ledger (loan_id, account, amount_cents, bank_reference, booked_at)"
            " values (%s, 'payouts', %s, %s, %s)",
            (loan_id, loan["amount_cents"], bank_reference, at),
        )
        self._drop_dead_letter(str(loan_id))
        return True
''', '''        with self.conn.transaction():
            line = self.conn.execute(
                "insert into ledger (loan_id, account, amount_cents, bank_reference, booked_at)"
                " select id, 'payouts', amount_cents, %s, %s from loans where id = %s"
                " on conflict (loan_id) do nothing returning id",
                (bank_reference, at, loan_id),
            ).fetchone()
            if line is None:
                return False
            self.conn.execute(
                "update loans set status = 'paid', bank_reference = %s where id = %s", (bank_reference, loan_id)
            )
            self._drop_dead_letter(str(loan_id))
        return True
'''),
            ("pfandhaus/payouts.py", "from pfandhaus.db import now, transaction\n", "from pfandhaus.db import holding, now, transaction\n"),
            ("pfandhaus/payouts.py", '''    with transaction() as loans:
        loan = loans.start(loan_id, now())
        known = loan is not None or loans.exists(loan_id)
    if not known:
        raise NoSuchLoan(f"no loan {loan_id}")
    if loan is None:
        return "nothing to do"
    if loan["starts"] > MOST_STARTS:
        raise TooManyStarts(f"{MOST_STARTS} starts came to no end")
    if loan["approved_at"] < now() - ID_GOOD_FOR:
        raise IdTooOld("approved too long ago to ask the bank again")
    reference = bank.transfer(
        Transfer(loan["iban"], loan["amount_cents"], f"Pfandkredit {loan_id}"),
        end_to_end_id=loan["end_to_end_id"],
    )
    with transaction() as loans:
        settled = loans.settle(loan_id, reference, now())
    return "paid" if settled else "paid before"
''', '''    with holding(loan_id) as loans:
        loan = loans.start(loan_id, now())
        if loan is None and not loans.exists(loan_id):
            raise NoSuchLoan(f"no loan {loan_id}")
        if loan is None:
            return "nothing to do"
        check(loan)
        reference = bank.transfer(
            Transfer(loan["iban"], loan["amount_cents"], f"Pfandkredit {loan_id}"),
            end_to_end_id=loan["end_to_end_id"],
        )
        return "paid" if loans.settle(loan_id, reference, now()) else "paid before"


def check(loan):
    if loan["starts"] > MOST_STARTS:
        raise TooManyStarts(f"{MOST_STARTS} starts came to no end")
    if loan["approved_at"] < now() - ID_GOOD_FOR:
        raise IdTooOld("approved too long ago to ask the bank again")
'''),
            ("pfandhaus/logs.py", '''import logging

OURS''', '''import json
import logging

OURS'''),
            ("pfandhaus/logs.py", '''        line = super().format(record)
        given = [f"{name}={getattr(record, name)!r}" for name in OURS if hasattr(record, name)]
        return " ".join([line, *given])
''', '''        entry = {"at": self.formatTime(record), "level": record.levelname, "logger": record.name}
        entry["message"] = record.getMessage()
        entry.update((name, getattr(record, name)) for name in OURS if hasattr(record, name))
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry)
'''),
            ("pfandhaus/logs.py", '''Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")''', '''Formatter()'''),
            (".skillrun/jobs/pay-out-loan.yaml", "store: table loans (status)", "store: table ledger"),
        ],
    },
    {
        "id": "m-id-in-the-job", "kind": "mistake", "job": PAYOUT,
        "what": "Promise: transfer keyed by end_to_end_id. Start, call and booking became one transaction (so that the row lock keeps a second job waiting), and the job draws the id when it starts, "
                "which is kept where the bank is away. But: the bank has paid, then the worker is killed, or the commit finds the connection lost: the transaction is rolled back with the id; "
                "the next delivery draws another one and the bank pays the loan a second time. (The count of starts is rolled back as well.)",
        "edits": [
            ("pfandhaus/loans.py", '''            "update loans set status = 'approved', approved_at = %s, end_to_end_id = %s"
            " where id = %s and status = 'offered'",
            (at, "PH" + uuid.uuid4().hex, loan_id),
''', '''            "update loans set status = 'approved', approved_at = %s where id = %s and status = 'offered'",
            (at, loan_id),
'''),
            ("pfandhaus/loans.py", '''        """Count a start of the payout; None if there is nothing to pay out."""
        return self.conn.execute(
            "update loans set starts = starts + 1, queued_at = %s where id = %s and status = 'approved'"
            " returning id, iban, amount_cents, end_to_end_id, approved_at, starts",
            (at, loan_id),
''', '''        """Count a start of the payout; None if there is nothing to pay out. The first one gives it its id."""
        return self.conn.execute(
            "update loans set starts = starts + 1, queued_at = %s, end_to_end_id = coalesce(end_to_end_id, %s)"
            " where id = %s and status = 'approved'"
            " returning id, iban, amount_cents, end_to_end_id, approved_at, starts",
            (at, "PH" + uuid.uuid4().hex, loan_id),
'''),
            ("pfandhaus/payouts.py", '''    with transaction() as loans:
        loan = loans.start(loan_id, now())
        known = loan is not None or loans.exists(loan_id)
    if not known:
        raise NoSuchLoan(f"no loan {loan_id}")
    if loan is None:
        return "nothing to do"
    if loan["starts"] > MOST_STARTS:
        raise TooManyStarts(f"{MOST_STARTS} starts came to no end")
    if loan["approved_at"] < now() - ID_GOOD_FOR:
        raise IdTooOld("approved too long ago to ask the bank again")
    reference = bank.transfer(
        Transfer(loan["iban"], loan["amount_cents"], f"Pfandkredit {loan_id}"),
        end_to_end_id=loan["end_to_end_id"],
    )
    with transaction() as loans:
        settled = loans.settle(loan_id, reference, now())
    return "paid" if settled else "paid before"
''', '''    away = None
    with transaction() as loans:
        loan = loans.start(loan_id, now())
        if loan is None and not loans.exists(loan_id):
            raise NoSuchLoan(f"no loan {loan_id}")
        if loan is None:
            return "nothing to do"
        if loan["starts"] > MOST_STARTS:
            raise TooManyStarts(f"{MOST_STARTS} starts came to no end")
        if loan["approved_at"] < now() - ID_GOOD_FOR:
            raise IdTooOld("approved too long ago to ask the bank again")
        try:
            reference = bank.transfer(
                Transfer(loan["iban"], loan["amount_cents"], f"Pfandkredit {loan_id}"),
                end_to_end_id=loan["end_to_end_id"],
            )
        except BankUnavailable as exc:
            away = exc
        else:
            settled = loans.settle(loan_id, reference, now())
    if away:
        raise away
    return "paid" if settled else "paid before"
'''),
        ],
    },
    {
        "id": "m-known-to-pass", "kind": "mistake", "job": PAYOUT,
        "what": "Promise: psycopg's OperationalError is transient. Only those errors of the database are retried that are known to pass (serialization, deadlocks), since a wrong password had been tried for hours. "
                "The bank has paid, the connection of the booking is lost (server restarts; a plain OperationalError or AdminShutdown): no retry; the connection for the dead letter works again: "
                "loan 'failed' with a dead letter after one attempt, no ledger row, the money is out",
        "edits": [
            ("pfandhaus/payouts.py", '''import psycopg
from procrastinate import RetryStrategy
''', '''import psycopg
from procrastinate import RetryStrategy
from psycopg.errors import DeadlockDetected, LockNotAvailable, SerializationFailure
'''),
            ("pfandhaus/payouts.py", '''    retry_exceptions=(BankUnavailable, psycopg.OperationalError),
''', '''    retry_exceptions=(BankUnavailable, DeadlockDetected, LockNotAvailable, SerializationFailure),
'''),
        ],
    },
    {
        "id": "m-sweep-unstarted", "kind": "mistake", "job": PAYOUT,
        "what": "Promise: recovers, and a dead letter after the last attempt. The sweep leaves alone what was started once ('retries and rescue_stalled see to those'). "
                "The bank is away for five attempts; at the fifth the database refuses the connection for the dead letter, so the job ends as failed without one; the loan stays 'approved' with starts = 5, and no sweep ever finds it. "
                "Likewise a job whose message is gone after it was started",
        "edits": [
            ("pfandhaus/loans.py", '''        """Approved, but never queued, or not heard of for long."""
        rows = self.conn.execute(
            "select id from loans where status = 'approved' and (queued_at is null or queued_at < %s)"
''', '''        """Approved, but never queued, or queued long ago and not started."""
        rows = self.conn.execute(
            "select id from loans where status = 'approved' and starts = 0"
            " and (queued_at is null or queued_at < %s)"
'''),
        ],
    },
]
