"""Versions of base: edits are (path, old text, new text); an empty old text writes the file new."""

OK_VERSION = '''from psycopg.types.json import Jsonb

from .db import connect, now

MAX_STARTS = 9


class UnknownConsignment(Exception):
    pass


class TooManyStarts(Exception):
    pass


def read(conn, consignment_id):
    row = conn.execute("select * from consignments where id = %s", (consignment_id,)).fetchone()
    if row is None:
        raise UnknownConsignment(consignment_id)
    return row


def change(conn, row, **values):
    """Compare and swap by the version; False where somebody else was faster."""
    sets = ", ".join(f"{column} = %({column})s" for column in values)
    return conn.execute(
        f"update consignments set {sets}, version = version + 1 where id = %(id)s and version = %(version)s",
        {**values, "id": row["id"], "version": row["version"]},
    ).rowcount


def begin(consignment_id):
    """Count a start and return the row; None where nothing is asked for any more."""
    while True:
        with connect() as conn:
            row = read(conn, consignment_id)
            if row["status"] != "requested":
                return None
            if change(conn, row, starts=row["starts"] + 1, moved_at=now()):
                break
    if row["starts"] >= MAX_STARTS:
        raise TooManyStarts(f"{MAX_STARTS} starts came to no end")
    return row


def finish(consignment_id, tracking, label_key):
    """Booked, whatever another delivery has made of it meanwhile."""
    while True:
        with connect() as conn:
            row = read(conn, consignment_id)
            if row["status"] == "booked":
                return
            if not change(conn, row, status="booked", tracking=tracking, label_key=label_key):
                continue
            conn.execute(
                "update routes set booked_parcels = booked_parcels + %s where id = %s",
                (row["parcels"], row["route_id"]),
            )
            conn.execute(
                "delete from dead_letters where job = 'book-consignment' and key = %s", (str(consignment_id),)
            )
            return


def bury(key, message, reason):
    """One dead letter; none where another delivery has booked meanwhile. Returns whether."""
    while True:
        with connect() as conn:
            row = conn.execute("select * from consignments where id::text = %s", (key,)).fetchone()
            if row and row["status"] == "booked":
                return False
            if row and row["status"] in ("requested", "dead") and not change(conn, row, status="dead"):
                continue
            conn.execute(
                "insert into dead_letters (job, key, message, reason) values ('book-consignment', %s, %s, %s)"
                " on conflict do nothing",
                (key, Jsonb(message), reason),
            )
        return True
'''

VARIANTS = [
    {
        "id": "ok-version", "kind": "correct", "job": "book-consignment",
        "what": "No row locks: every change of a consignment is a compare-and-swap on its version, done again from a fresh read where somebody was faster",
        "edits": [("frachtweg/consignments.py", "", OK_VERSION)],
    },
    {
        "id": "ok-bookings", "kind": "correct", "job": "book-consignment",
        "what": "What is booked is a row in bookings (primary key consignment_id), inserted once and counted by whoever inserts it; advisory locks per consignment in place of row locks; a key=value log",
        "edits": [
            ("frachtweg/schema.sql", "create table if not exists dead_letters (", '''create table if not exists bookings (
    consignment_id integer primary key references consignments,
    tracking text not null, label_key text not null, at timestamptz not null default now());
create table if not exists dead_letters ('''),
            ("frachtweg/schema.sql", "    tracking text, label_key text, moved_at timestamptz);", "    moved_at timestamptz);"),
            ("frachtweg/consignments.py", '''def begin(consignment_id):
''', '''def hold(conn, key):
    """Until the transaction ends, no one else begins, finishes or buries this one."""
    conn.execute("select pg_advisory_xact_lock(hashtextextended(%s, 17))", (str(key),))


def begin(consignment_id):
'''),
            ("frachtweg/consignments.py", '''    with connect() as conn:
        row = conn.execute(
            "update consignments set starts''', '''    with connect() as conn:
        hold(conn, consignment_id)
        row = conn.execute(
            "update consignments set starts'''),
            ("frachtweg/consignments.py", '''        row = conn.execute(
            "select status, route_id, parcels from consignments where id = %s for update", (consignment_id,)
        ).fetchone()
        if row["status"] == "booked":
            return
        conn.execute(
            "update consignments set status = 'booked', tracking = %s, label_key = %s, version = version + 1"
            " where id = %s",
            (tracking, label_key, consignment_id),
        )
        conn.execute(
            "update routes set booked_parcels = booked_parcels + %s where id = %s",
            (row["parcels"], row["route_id"]),
        )
''', '''        hold(conn, consignment_id)
        first = conn.execute(
            "insert into bookings (consignment_id, tracking, label_key) values (%s, %s, %s)"
            " on conflict do nothing returning 1",
            (consignment_id, tracking, label_key),
        ).fetchone()
        if not first:
            return
        conn.execute(
            "with c as (update consignments set status = 'booked', version = version + 1 where id = %s"
            " returning route_id, parcels)"
            " update routes set booked_parcels = booked_parcels + c.parcels from c where routes.id = c.route_id",
            (consignment_id,),
        )
'''),
            ("frachtweg/consignments.py", '''        row = conn.execute("select id, status from consignments where id::text = %s for update", (key,)).fetchone()
''', '''        hold(conn, key)
        row = conn.execute("select id, status from consignments where id::text = %s", (key,)).fetchone()
'''),
            ("frachtweg/tasks.py", '''        about = {"job": "book-consignment", "job_id": context.job.id, "key": key, "attempt": attempt}
        logger.log(level, json.dumps({**about, "outcome": outcome, **more}))
''', '''        why = "".join(f' {name}="{value}"' for name, value in more.items())
        logger.log(level, f"book-consignment job_id={context.job.id} key={key} attempt={attempt} outcome={outcome!r}{why}")
'''),
            (".skillrun/jobs/book-consignment.yaml", "store: table consignments (status)", "store: table bookings"),
            (".skillrun/jobs/book-consignment.yaml", "    consignments: select id, status, tracking, label_key from consignments order by id\n",
             "    consignments: select id, status from consignments order by id\n    bookings: select consignment_id, tracking, label_key from bookings order by 1\n"),
        ],
    },
    {
        "id": "m-label-last", "kind": "mistake", "job": "book-consignment",
        "what": "Promise: a death loses nothing / transient errors of the store are tried again. The consignment is booked in the database before its label is stored, so that dispatch sees the tracking number sooner; "
                "killed (or the store down) between finish and put: the next delivery finds 'booked', has nothing to do, and the label never exists",
        "edits": [
            ("frachtweg/tasks.py", '''    store.put(label_key, base64.b64decode(booking["label"]))
    consignments.finish(consignment_id, booking["tracking"], label_key)
''', '''    consignments.finish(consignment_id, booking["tracking"], label_key)
    store.put(label_key, base64.b64decode(booking["label"]))
'''),
            ("tests/test_book.py", '''    assert world.finished == [(1, "T1", "labels/FW-1.pdf")]
''', '''    assert world.finished[0][1] == "T1"
'''),
        ],
    },
    {
        "id": "m-version-ref", "kind": "mistake", "job": "book-consignment",
        "what": "Promise: booking keyed. The reference carries the row's version, so that an amended consignment is another booking; but begin bumps the version with each start: "
                "the carrier has booked, the answer is lost or the worker dies before finish, the next attempt books again under FW-1.v3: two bookings, two labels",
        "edits": [
            ("frachtweg/consignments.py", '''"update consignments set starts = starts + 1, moved_at = %s"
''', '''"update consignments set starts = starts + 1, version = version + 1, moved_at = %s"
'''),
            ("frachtweg/tasks.py", '''    reference = f"FW-{consignment_id}"
''', '''    reference = f"FW-{consignment_id}.v{row['version']}"
'''),
            ("tests/test_book.py", '''row={"consignee": "X", "parcels": 1, "grams": 1}''', '''row={"consignee": "X", "parcels": 1, "grams": 1, "version": 1}'''),
            ("tests/test_book.py", '''    assert world.booked == ["FW-1"] and world.put == [("labels/FW-1.pdf", b"pdf")]
    assert world.finished == [(1, "T1", "labels/FW-1.pdf")]
''', '''    assert world.booked == ["FW-1.v1"] and world.put == [("labels/FW-1.v1.pdf", b"pdf")]
    assert world.finished == [(1, "T1", "labels/FW-1.v1.pdf")]
'''),
        ],
    },
    {
        "id": "m-no-lock", "kind": "mistake", "job": "book-consignment",
        "what": "Promise: the state is that of one run. finish reads the status without 'for update' (it stood in the way of dispatch's list): two deliveries at once both read 'requested', "
                "the second update waits for the first and then goes through as well: the parcels of the route are counted twice",
        "edits": [
            ("frachtweg/consignments.py", '''"select status, route_id, parcels from consignments where id = %s for update", (consignment_id,)
''', '''"select status, route_id, parcels from consignments where id = %s", (consignment_id,)
'''),
        ],
    },
    {
        "id": "m-last-try", "kind": "mistake", "job": "book-consignment",
        "what": "Promise: five attempts, then a dead letter. The task takes job.attempts for the number of this try, Procrastinate counts the tries before it: at the fifth failure the policy ends the job "
                "while the task believes that one is left: no dead letter, the consignment stays 'requested', and the sweep starts another round",
        "edits": [
            ("frachtweg/tasks.py", '''        if isinstance(exc, PASSING) and attempt < MAX_ATTEMPTS:
''', '''        if isinstance(exc, PASSING) and context.job.attempts < MAX_ATTEMPTS:
'''),
            ("tests/test_book.py", '''    assert [run(n, consignment_id=1) for n in range(5)] == ["again"] * 4 + ["failed"]
    assert len(world.dead) == 1
''', '''    assert [run(n, consignment_id=1) for n in range(5)] == ["again"] * 4 + ["failed"]
'''),
        ],
    },
]
