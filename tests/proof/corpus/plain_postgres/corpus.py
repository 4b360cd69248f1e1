"""Text messages from an outbox in PostgreSQL: FOR UPDATE SKIP LOCKED, and at most once."""

from run import Mutant, Variant

DRIVER = None
P, SCHEMA, PARCELS, SPEC = "sms/poller.py", "sms/schema.py", "sms/parcels.py", ".skillrun/jobs/send-sms.yaml"
CONNECT = 'psycopg.connect(os.environ["DATABASE_URL"], row_factory=dict_row)'
TAKE = """    with connection.transaction():
        row = connection.execute(NEXT).fetchone()
        if row is not None:
            connection.execute("update outbox set status = 'taken' where id = %(id)s", row)
    return row
"""
FAIL = """    with connection.transaction():
        connection.execute("update outbox set status = 'failed' where id = %(id)s", row)
        connection.execute(
            "insert into failed_sms (parcel, reason) values (%s, %s) on conflict do nothing",
            (row["parcel"], repr(error)),
        )
"""
LOCK = " for update skip locked"

MUTANTS = [
    Mutant("C01", "autocommit: the lock is gone when its statement ends", (
        (P, CONNECT, CONNECT[:-1] + ", autocommit=True)"),
        (P, TAKE, TAKE.replace("    with connection.transaction():\n", "    if True:\n"))),
        source="DhananjayThomble/URL-Shortener-App#282", quick=True),
    Mutant("C02", "no lock: both runs read the same rows", ((P, LOCK, ""),),
           source="makeplane/plane#9609", quick=True),
    Mutant("C03", "committed between the look and the write", (
        (P, TAKE, TAKE.replace("        if row is not None:\n            connection", "    with connection.transaction():\n        if row is not None:\n            connection")),)),
    Mutant("C04", "taken after it was sent", (
        (P, '            connection.execute("update outbox set status = \'taken\' where id = %(id)s", row)\n', "            pass\n"),
        (P, '        log.info("text for parcel %s: sent", parcel)\n', '        with connection.transaction():\n            connection.execute("update outbox set status = \'taken\' where id = %(id)s", row)\n        log.info("text for parcel %s: sent", parcel)\n'))),
    Mutant("C05", "enqueued twice", ((SCHEMA, "parcel text not null unique", "parcel text not null"), (PARCELS, " on conflict (parcel) do nothing", ""))),
    Mutant("C06", "an advisory lock of the session, by a key of this process", (
        (P, LOCK, ""), (P, "        row = connection.execute(NEXT).fetchone()\n", "        connection.execute(\"select pg_try_advisory_lock(%s)\", (os.getpid(),))\n        row = connection.execute(NEXT).fetchone()\n"))),
    Mutant("B01", "a busy gateway is asked again by the run", (
        (P, "        gateway.send(row[\"phone\"], f\"Parcel {parcel} is on its way\")\n",
         "        try:\n            gateway.send(row[\"phone\"], f\"Parcel {parcel} is on its way\")\n        except TimeoutError:\n            gateway.send(row[\"phone\"], f\"Parcel {parcel} is on its way\")\n"),)),
    Mutant("B02", "a failed row goes back into the outbox", ((P, "set status = 'failed'", "set status = 'new'"),)),
    Mutant("D01", "a number that does not exist is tried at every tick", (
        (P, "    except (gateway.Busy, gateway.NoSuchNumber, TimeoutError) as error:\n        fail(connection, row, error)\n",
         "    except gateway.NoSuchNumber as error:\n        log.error(\"text for parcel %s: %r\", parcel, error)\n        with connection.transaction():\n            connection.execute(\"update outbox set status = 'new' where id = %(id)s\", row)\n        raise SystemExit(1) from error\n    except (gateway.Busy, TimeoutError) as error:\n        fail(connection, row, error)\n"),)),
    Mutant("E01", "given up without a dead letter", ((P, FAIL, FAIL.split("        connection.execute(\n")[0]),)),
    Mutant("E02", "the dead letter is rolled back", ((P, "    with connection.transaction():\n        connection.execute(\"update outbox set status = 'failed'", "    with connection.transaction(force_rollback=True):\n        connection.execute(\"update outbox set status = 'failed'"),)),
    Mutant("E03", "the parcel is written and not committed", ((PARCELS, "    with psycopg.connect(os.environ[\"DATABASE_URL\"]) as connection:\n", "    connection = psycopg.connect(os.environ[\"DATABASE_URL\"])\n    if True:\n"),)),
    Mutant("F01", "errors end as success", ((P, "        fail(connection, row, error)\n", "        log.info(\"text for parcel %s: sent, %r\", parcel, error)\n"),)),
    Mutant("F02", "a busy gateway is not told from a success in the records", ((P, 'log.error("text for parcel %s: given up: %r", row["parcel"], error)', 'log.info("text for parcel %s: sent", row["parcel"])'),)),
    Mutant("G01", "remembered by its phone", ((SCHEMA, "phone text not null,", "phone text not null unique,"), (PARCELS, "on conflict (parcel)", "on conflict"))),
    Mutant("G02", "the phone is not looked at", ((P, r'        if not re.fullmatch(r"\+\d+", row["phone"]):' + "\n            raise gateway.NoSuchNumber(row[\"phone\"])\n", ""),)),
]  # fmt: skip

_PSYCOPG2 = '''"""Sends what is in the outbox."""

import contextlib
import os
import sys

import psycopg2
import psycopg2.extras

from sms import gateway

TAKE = """
update outbox set status = 'taken' where id in
(select id from outbox where status = 'new' order by id limit %s for update skip locked)
returning id, parcel, phone
"""


def main(batch: int = 10) -> None:
    with contextlib.closing(psycopg2.connect(os.environ["DATABASE_URL"])) as connection:
        with connection, connection.cursor(cursor_factory=psycopg2.extras.DictCursor) as cursor:
            cursor.execute(TAKE, (batch,))
            rows = cursor.fetchall()
        for row in rows:
            one(connection, **row)


def one(connection, id, parcel, phone) -> None:
    print("begin", parcel, file=sys.stderr)
    try:
        if not phone.startswith("+"):
            raise gateway.NoSuchNumber(phone)
        gateway.send(phone, "On its way")
    except Exception as error:
        with connection, connection.cursor() as cursor:
            cursor.execute("update outbox set status = 'failed' where id = %s", (id,))
            cursor.execute("insert into failed_sms values (%s, %s)", (parcel, repr(error)))
        print("failed", parcel, repr(error), file=sys.stderr)
        return
    print("done", parcel, file=sys.stderr)
'''

_HELD = (
    (P, TAKE, TAKE.replace("    with connection.transaction():\n", "    if True:\n").replace("'taken'", "'sent'")),
    (P, "            send(connection, row)\n", "            send(connection, row)\n            connection.commit()\n"),
    (P, "    with connection.transaction():\n        connection.execute(\"update outbox set status = 'failed'", "    if True:\n        connection.execute(\"update outbox set status = 'failed'"),
    (SPEC, "guarantee: at_most_once\n    reason: The gateway knows no keys, and a second text annoys more than a missing one",
     "guarantee: at_least_once\n    reason: The gateway knows no keys; a crash between text and commit sends it again"),
)  # fmt: skip

VARIANTS = [
    Variant("psycopg2", "psycopg2, one UPDATE with RETURNING for a batch, records on stderr", {P: _PSYCOPG2}),
    Variant("held", "the row stays locked while the text is sent: at least once", edits=_HELD),
]  # fmt: skip
