"""Invoices mailed by a polled SQLite table, with attempts, backoff and a lease in the row."""

from run import Mutant, Variant

DRIVER = None
P, SCHEMA, SPEC = "billing/poller.py", "billing/schema.py", ".skillrun/jobs/send-invoice.yaml"
KEY = 'key=f"invoice-{order_id}"'
MARK = """        with connection:
            connection.execute("update invoices set status = 'sent' where id = ?", (row["id"],))
"""
LEASED = "(status = 'sending' and lease_until <= :now)"
CLAIM_WHERE = f"where id = :id and ((status = 'pending' and due_at <= :now) or {LEASED})\n"
DEAD = """        connection.execute(
            "insert or ignore into dead_invoices (order_id, reason) values (?, ?)", (row["order_id"], reason)
        )
"""
RETRY_LOG = 'log.warning("invoice of order %s: failed (%r), next try in %s s", row["order_id"], error, wait)'
WAIT = 'wait = min(BASE_S * 2 ** (row["attempts"] - 1), CAP_S)'
ADDRESS = """    if "@" not in row["email"]:
        give_up(connection, row, "no address")
        return
"""

PAIR = (
    "billing/orders.py",
    """values (?, ?)", (order_id, email))
""",
    """values (?, ?)", (order_id, email))
        connection.execute("insert or ignore into invoices (order_id, email) values (?, ?)", (order_id + 900, "copy@example.com"))
""",
)

MUTANTS = [
    Mutant("P01", "two due in one tick: an address that is wrong ends the run, and the next one begins with it again",
           (PAIR, (P, "        give_up(connection, row, repr(error))\n    except (mailer", "        raise SystemExit(1) from error\n    except (mailer"))),
    Mutant("P02", "two due in one tick: an address that is wrong buries all that are due",
           (PAIR, (P, "'dead' where id = ? and {MINE}", "'dead' where id >= ? and status != 'sent' and attempts <= ?")), quick=True),
    Mutant("P03", "two due in one tick: the waits of one are those of the other",
           (PAIR, (P, "due_at = ? where id = ? and {MINE}", "attempts = 0, due_at = ? where id <= ? and status != 'sent' and attempts <= ?"))),
    Mutant("B01", "a new key for every attempt", ((P, KEY, "key=str(uuid.uuid4())"), (P, "import time\n", "import time\nimport uuid\n"))),
    Mutant("B02", "the key counts the attempts", ((P, KEY, 'key=f"invoice-{order_id}-{row[\'attempts\']}"'),), quick=True),
    Mutant("B03", "the key has the second in it", ((P, KEY, 'key=f"invoice-{order_id}-{int(time.time())}"'),)),
    Mutant("B04", "the key has the day in it", (
        (P, KEY, 'key=f"invoice-{order_id}-{date.today()}"'), (P, "import time\n", "import time\nfrom datetime import date\n"))),
    Mutant("C01", "marked as sent before it is sent", (
        (P, "set status = 'sending', attempts", "set status = 'sent', attempts"),)),
    Mutant("C02", "enqueued twice: nothing keeps the order unique (the key is the row)", (
        (SCHEMA, "integer not null unique", "integer not null"), (P, KEY, 'key=f"invoice-{row[\'id\']}"'),)),
    Mutant("C03", "claimed by a look and a write, receiver keyed", ((P, CLAIM_WHERE, "where id = :id\n"),),
           keeps="both runs send with the same key, and the receiver drops the second; the row ends as sent either way"),
    Mutant("D01", "nothing counts: tried at every tick for ever", (
        (P, 'if row["attempts"] >= MAX_ATTEMPTS:', "if False:"),), quick=True),
    Mutant("D02", "one attempt too many", ((P, '"] >= MAX_ATTEMPTS', '"] > MAX_ATTEMPTS'),)),
    Mutant("D03", "a bad address is tried again", (
        (P, "except mailer.BadAddress as error:\n        give_up(connection, row, repr(error))\n    except (mailer.Unavailable, TimeoutError)",
         "except (mailer.BadAddress, mailer.Unavailable, TimeoutError)"),)),
    Mutant("D04", "attempts are counted in memory", ((P, "attempts = attempts + 1, ", ""),)),
    Mutant("D05", "flat waits", ((P, WAIT, "wait = BASE_S"),)),
    Mutant("D06", "a row that waits is due at every tick", (
        (P, "where (status = 'pending' and due_at <= :now) or", "where status = 'pending' or"),
        (P, "and ((status = 'pending' and due_at <= :now) or", "and (status = 'pending' or"))),
    Mutant("D07", "no cap", ((P, WAIT, 'wait = BASE_S * 2 ** row["attempts"]'),)),
    Mutant("D08", "a timeout is not caught: the row waits for its lease, and its attempts for nobody", (
        (P, "(mailer.Unavailable, TimeoutError)", "mailer.Unavailable"),)),
    Mutant("D09", "a run that died in its last attempt has used it up: the row is nobody's, and no dead letter is written",
           ((P, f"or {LEASED}\norder", "or (status = 'sending' and lease_until <= :now and attempts < 5)\norder"),), quick=True),
    Mutant("E01", "a run that died keeps its row for ever", (
        (P, f"or {LEASED}\norder", "\norder"), (P, f"where id = :id and ((status = 'pending' and due_at <= :now) or {LEASED})", "where id = :id and status = 'pending' and due_at <= :now")),
        quick=True),
    Mutant("E02", "given up without a dead letter", ((P, DEAD, ""),)),
    Mutant("E03", "the dead letter is another transaction", (
        (P, "has taken it over\n        connection", "has taken it over\n    with connection:\n        connection"),)),
    Mutant("C07", "a slow run that fails puts back what another has sent",
           ((P, "due_at = ? where id = ? and {MINE}", "due_at = ? where id = ? and attempts > 0 and ? > 0"),),
           keeps="the next tick sends it again under the same key, which the receiver drops, and marks it again"),
    Mutant("C08", "a slow run that fails buries what another has sent",
           ((P, "'dead' where id = ? and {MINE}", "'dead' where id = ? and attempts >= ?"),)),
    Mutant("E04", "one invoice that fails ends the run for all", (
        (P, "            try_later(connection, row, error)\n", "            try_later(connection, row, error)\n            raise SystemExit(1)\n"),),
        keeps="the next tick finds the one that failed not due, and takes the others: a minute later"),
    Mutant("E05", "the placed order is not committed", (
        ("billing/orders.py", "    with connection:\n        connection.execute(", "    if True:\n        connection.execute("),)),
    Mutant("F01", "every error is swallowed and the row is sent", (
        (P, "    except (mailer.Unavailable, TimeoutError) as error:\n        if row[\"attempts\"] >= MAX_ATTEMPTS:\n            give_up(connection, row, repr(error))\n        else:\n            try_later(connection, row, error)\n    else:\n" + MARK,
         "    except Exception as error:\n        log.error(\"invoice of order %s: %r\", order_id, error)\n    if True:\n" + MARK),)),
    Mutant("F02", "the records name no order", (
        (P, '"invoice of order %s: attempt %s", order_id, row["attempts"]', '"sending"'),
        (P, '"invoice of order %s: sent", order_id', '"sent"'))),
    Mutant("F03", "no record says why", ((P, RETRY_LOG, RETRY_LOG.replace(" (%r)", "").replace(", error,", ",")),)),
    Mutant("F04", "the last failure says the same as the others", (
        (P, RETRY_LOG, 'log.warning("invoice of order %s: failed (%r)", row["order_id"], error)'),
        (P, 'log.error("invoice of order %s: given up after %s attempts: %s", row["order_id"], row["attempts"], reason)',
         'log.warning("invoice of order %s: failed (%r)", row["order_id"], reason)'))),
    Mutant("G01", "the key is the customer", ((P, KEY, 'key=f"invoice-{row[\'email\']}"'),)),
    Mutant("G02", "an invoice without an address is sent", ((P, ADDRESS, ""),)),
    Mutant("G03", "one clock writes local time without a zone, the other reads UTC", (
        (P, "time.time() + wait", "time.mktime(time.gmtime()) + 3600 + wait"),)),
]  # fmt: skip

_OUTBOX = '''"""Mails invoices that are due, one transaction each: the row stays locked while the mail is sent."""

import time

from billing import mailer
from billing.db import connect

LIMITS = {1: 120, 2: 240, 3: 480, 4: 600}


def main(argv: list[str] | None = None) -> None:
    connection = connect()
    connection.isolation_level = None
    connection.execute("begin immediate")
    row = connection.execute(
        "select * from invoices where status = 'pending' and due_at <= ? order by id limit 1", (time.time(),)
    ).fetchone()
    if row is not None:
        print(f"order={row['order_id']} start attempt={row['attempts'] + 1}")
        connection.execute(
            "update invoices set status = ?, attempts = attempts + 1, due_at = ? where id = ?", deliver(connection, row)
        )
    connection.execute("commit")


def deliver(connection, row):
    attempt = row["attempts"] + 1
    try:
        if "@" not in row["email"]:
            raise mailer.BadAddress("no address")
        mailer.send(row["email"], "Your invoice", key=f"invoice:{row['order_id']}")
    except (mailer.BadAddress, mailer.Unavailable, TimeoutError) as error:
        if isinstance(error, mailer.BadAddress) or attempt not in LIMITS:
            connection.execute("insert into dead_invoices values (?, ?)", (row["order_id"], repr(error)))
            print(f"order={row['order_id']} dead error={error!r}")
            return "dead", 0, row["id"]
        print(f"order={row['order_id']} retry in={LIMITS[attempt]} error={error!r}")
        return "pending", time.time() + LIMITS[attempt], row["id"]
    print(f"order={row['order_id']} done")
    return "sent", 0, row["id"]
'''

_CLASS = '''"""Mails invoices that are due."""

import logging
import sys
from datetime import datetime, timedelta, timezone

from billing import mailer
from billing.db import connect

log = logging.getLogger(__name__)


class Poller:
    waits = (timedelta(minutes=2), timedelta(minutes=4), timedelta(minutes=8), timedelta(minutes=10))

    def __init__(self) -> None:
        self.connection = None

    def run(self) -> None:
        self.connection = connect()
        self.recover()
        for row in self.due():
            self.one(row)
        sys.exit(0)

    def now(self) -> float:
        return datetime.now(timezone.utc).timestamp()

    def recover(self) -> None:
        """Rows of runs that died: a run takes less than ten minutes."""
        with self.connection as c:
            c.execute("update invoices set status = 'pending' where status = 'sending' and lease_until <= ?", (self.now(),))

    def due(self):
        return self.connection.execute(
            "select * from invoices where status = 'pending' and due_at <= ?", (self.now(),)
        ).fetchall()

    def one(self, row) -> None:
        with self.connection as c:
            took = c.execute(
                "update invoices set status = 'sending', lease_until = ? where id = ? and status = 'pending'",
                (self.now() + 600, row["id"]),
            )
        if took.rowcount != 1:
            return
        log.info("begin", extra={"order_id": row["order_id"]})
        try:
            self.check(row)
            mailer.send(row["email"], "Invoice", key=str(row["order_id"]))
        except Exception as error:
            self.failed(row, error)
            return
        with self.connection as c:
            c.execute("update invoices set status = 'sent' where id = ?", (row["id"],))
        log.info("sent", extra={"order_id": row["order_id"]})

    def check(self, row) -> None:
        if not row["email"]:
            raise mailer.BadAddress("empty")

    def failed(self, row, error) -> None:
        attempts = row["attempts"] + 1
        final = attempts > len(self.waits) or isinstance(error, mailer.BadAddress)
        with self.connection as c:
            if final:
                mine = "update invoices set status = 'dead', attempts = ? where id = ? and status = 'sending'"
                if c.execute(mine, (attempts, row["id"])).rowcount:
                    c.execute("insert or replace into dead_invoices values (?, ?)", (row["order_id"], str(error)))
            else:
                due = self.now() + self.waits[attempts - 1].total_seconds()
                c.execute(
                    "update invoices set status = 'pending', attempts = ?, due_at = ? where id = ? and status = 'sending'",
                    (attempts, due, row["id"]),
                )
        extra = {"order_id": row["order_id"]}
        log.error("dead" if final else "will be tried again", extra=extra, exc_info=error)
'''

VARIANTS = [
    Variant("locked", "one transaction holds the database while the mail is sent; printed lines; main(argv=None)",
            {P: _OUTBOX}, quick=True),
    Variant("class", "a class, recovery at the beginning, extra=, exc_info, sys.exit(0)", {P: _CLASS},
            ((SPEC, "billing.poller:main", "billing.poller:Poller.run"),)),
    Variant("pair", "two are due in one tick, and each goes its own way", quick=True, edits=(PAIR,)),
    Variant("hourly", "a lease of an hour and a half", edits=((P, "LEASE_S = 300", "LEASE_S = 5400"),)),
    Variant("keyed-only", "no claim at all: the receiver's key alone keeps it to one", edits=(
        (P, "set status = 'sending', attempts", "set attempts"),)),
]  # fmt: skip
