"""Bus company: one more that is right, and three that are not."""

JOB = "order-replacements"

VARIANTS = [
    {
        "id": "ok-flock-tries",
        "kind": "correct",
        "job": JOB,
        "what": (
            'One run at a time by flock; a try is entered in the table tries (primary key replacement_id, no) '
            "before the order, the first try's time is read from there; JSON lines instead of key=value."
        ),
        "edits": [
            (".skillrun/jobs/order-replacements.yaml", '''      A row is ordered under the number BV-E-<id> at every try, only while it is open, and by the run that has
      counted the try
    guarded_by: replacements.status and a conditional update on replacements.tries
''', '''      A row is ordered under the number BV-E-<id> at every try, only while it is open, by the one run that goes,
      and after the try was entered
    guarded_by: replacements.status, the primary key of tries, and a file lock
'''),
            (".skillrun/jobs/order-replacements.yaml", '''    failed: select replacement_id from failed_orders order by 1
''', '''    failed: select replacement_id from failed_orders order by 1
  not_state: [tries]
  scratch_files: [counter.db.lock]
'''),
            ("README.md", '''1. `take`: the try is counted and `next_try_at` moved on, if nobody else has counted it meanwhile. So two runs at once do
   not order the same ticket, and a run that is killed leaves a row that comes up again.
''', '''1. `take`: the try is entered in the table `tries`, once per row and number, and `next_try_at` moved on. A run that is
   killed leaves a row that comes up again. (A second run at the same time goes home: `busverkehr/single.py`.)
'''),
            ("busverkehr/nightly.py", '''"""Orders replacements for lost tickets. Cron starts it every quarter of an hour at night: python -m busverkehr.nightly"""
''', '''"""Orders replacements for lost tickets. Cron starts it every quarter of an hour at night: python -m busverkehr.nightly"""
import json
'''),
            ("busverkehr/nightly.py", '''from busverkehr import config, printer, replacements, store
''', '''from busverkehr import config, printer, replacements, single, store
'''),
            ("busverkehr/nightly.py", '''    results = Counter()
    with closing(store.connect()) as connection:
        for replacement_id, tries in replacements.due(connection):
            try:
                results[attempt(connection, replacement_id, tries, job_id)] += 1
            except Exception as error:
                # The row comes up again at its next_try_at.
                results["broken"] += 1
                say(logging.ERROR, job_id, replacement_id, tries + 1, "broken", reason=type(error).__name__)
    log.info(
        "job=order-replacements job_id=%s outcome=finished %s",
        job_id,
        " ".join(f"n_{name}={count}" for name, count in sorted(results.items())),
    )
''', '''    with single.only_run() as alone:
        if not alone:
            write(logging.INFO, job_id=job_id, outcome="skipped", reason="another run is at it")
            return {}
        with closing(store.connect()) as connection:
            results = through(connection, job_id)
    write(logging.INFO, job_id=job_id, outcome="finished", counts=results)
    return results


def through(connection, job_id):
    results = Counter()
    for replacement_id, tries in replacements.due(connection):
        try:
            results[attempt(connection, replacement_id, tries, job_id)] += 1
        except Exception as error:
            # The row comes up again at its next_try_at.
            results["broken"] += 1
            say(logging.ERROR, job_id, replacement_id, tries + 1, "broken", reason=type(error).__name__)
'''),
            ("busverkehr/nightly.py", '''    pairs = {"job": "order-replacements", "job_id": job_id, "key": f"BV-E-{replacement_id}", "attempt": attempt_no}
    pairs |= {"outcome": outcome, **more}
    log.log(level, " ".join(f"{name}={quoted(value)}" for name, value in pairs.items()))


def quoted(value):
    text = str(value)
    return '"' + text.replace('"', "'") + '"' if " " in text else text


def main():
    logging.basicConfig(level=logging.INFO, format="%(asctime)s level=%(levelname)s %(message)s")
    try:
        results = run()
    except sqlite3.Error as error:
        log.error("job=order-replacements outcome=aborted reason=%s", type(error).__name__)
''', '''    write(level, job_id=job_id, key=f"BV-E-{replacement_id}", attempt=attempt_no, outcome=outcome, **more)


def write(level, **fields):
    log.log(level, json.dumps({"job": "order-replacements", **fields}, default=str))


def main():
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        results = run()
    except sqlite3.Error as error:
        write(logging.ERROR, outcome="aborted", reason=type(error).__name__)
'''),
            ("busverkehr/replacements.py", '''    """Count a try, and have the others wait until its answer must be there; None if they were faster."""
    now = int(time.time())
    with transaction(connection):
        taken = connection.execute(
            "update replacements set tries = tries + 1, first_try_at = coalesce(first_try_at, ?), next_try_at = ?"
            " where id = ? and status = 'open' and tries = ?",
            (now, now + wait_after(tries + 1), replacement_id, tries),
        ).rowcount
        if not taken:
            return None
        row = connection.execute("select * from replacements where id = ?", (replacement_id,)).fetchone()
''', '''    """Enter a try in the book, and have the next one wait; None if somebody else has entered it."""
    now = int(time.time())
    with transaction(connection):
        taken = connection.execute(
            "insert or ignore into tries (replacement_id, no, at)"
            " select id, ?, ? from replacements where id = ? and status = 'open'",
            (tries + 1, now, replacement_id),
        ).rowcount
        if not taken:
            return None
        connection.execute(
            "update replacements set tries = ?, next_try_at = ? where id = ?",
            (tries + 1, now + wait_after(tries + 1), replacement_id),
        )
        row = connection.execute(
            "select r.*, (select min(at) from tries where replacement_id = r.id) as first_try_at"
            " from replacements r where r.id = ?",
            (replacement_id,),
        ).fetchone()
'''),
            ("busverkehr/single.py", "", '''"""One run at a time. The lock is the kernel's, and ends with the process that has it, however that ends."""
import fcntl
from contextlib import contextmanager

from busverkehr import config


@contextmanager
def only_run():
    """Whether this is the only run on this database."""
    with open(config.database() + ".lock", "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
'''),
            ("busverkehr/store.py", '''    first_try_at integer,
''', ''),
            ("busverkehr/store.py", '''create index if not exists replacements_due on replacements (status, next_try_at);
''', '''create index if not exists replacements_due on replacements (status, next_try_at);
create table if not exists tries (
    replacement_id integer not null references replacements (id),
    no integer not null,
    at integer not null,
    primary key (replacement_id, no)
);
'''),
            ("tests/test_nightly.py", '''from busverkehr import counter, nightly, printer, replacements, store
''', '''from busverkehr import counter, nightly, printer, replacements, single, store
'''),
            ("tests/test_nightly.py", '''    mine = [r.getMessage() for r in caplog.records if "key=BV-E-1 " in r.getMessage()]
    assert "attempt=6 outcome=failed" in mine[-1] and all("job_id=" in line for line in mine)
''', '''    mine = [line for r in caplog.records if (line := json.loads(r.getMessage())).get("key") == "BV-E-1"]
    assert (mine[-1]["attempt"], mine[-1]["outcome"]) == (6, "failed") and all(line["job_id"] for line in mine)
'''),
            ("tests/test_nightly.py", '''    assert works.asked == ["BV-E-2", "BV-E-3"]
''', '''    assert works.asked == ["BV-E-2", "BV-E-3"]


def test_another_run_is_at_it(works):
    with single.only_run() as alone:
        assert alone and nightly.run() == {}
    assert works.asked == [] and nightly.run() == {"ordered": 3}
'''),
        ],
    },
    {
        "id": "m-one-transaction",
        "kind": "mistake",
        "job": JOB,
        "what": (
            "Each row is one single transaction, from counting the try to the result, with the printer's call "
            'inside. Promise broken: worker.deliveries 7 and retry.max_attempts 6. Events: row 1 kills its run '
            'during the order (or the machine goes down with it); SQLite rolls back, tries is as before, '
            'next_try_at too; the next run begins with the same row, which kills it again: no seventh start ever '
            'ends it with a line in failed_orders, and as it stays the longest waiting one, the rows behind it '
            'are never ordered. Likewise a commit that fails after the order uncounts the try: any number of '
            'tries, without waits. (And a second run, or the counter, waits for the write lock while the printer '
            'answers.)'
        ),
        "edits": [
            ("README.md", '''takes what is due (`next_try_at`), one row after the other, and each row has its own transactions:
''', '''takes what is due (`next_try_at`), one row after the other, and each row has its own transaction:
'''),
            ("busverkehr/nightly.py", '''                results[attempt(connection, replacement_id, tries, job_id)] += 1
''', '''                with store.transaction(connection):
                    result = attempt(connection, replacement_id, tries, job_id)
                results[result] += 1
'''),
            ("busverkehr/replacements.py", '''Every function is one transaction.
''', '''The caller brings the transaction.
'''),
            ("busverkehr/replacements.py", '''from busverkehr.store import transaction
''', ''),
            ("busverkehr/replacements.py", '''    with transaction(connection):
        taken = connection.execute(
            "update replacements set tries = tries + 1, first_try_at = coalesce(first_try_at, ?), next_try_at = ?"
            " where id = ? and status = 'open' and tries = ?",
            (now, now + wait_after(tries + 1), replacement_id, tries),
        ).rowcount
        if not taken:
            return None
        row = connection.execute("select * from replacements where id = ?", (replacement_id,)).fetchone()
''', '''    taken = connection.execute(
        "update replacements set tries = tries + 1, first_try_at = coalesce(first_try_at, ?), next_try_at = ?"
        " where id = ? and status = 'open' and tries = ?",
        (now, now + wait_after(tries + 1), replacement_id, tries),
    ).rowcount
    if not taken:
        return None
    row = connection.execute("select * from replacements where id = ?", (replacement_id,)).fetchone()
'''),
            ("busverkehr/replacements.py", '''    with transaction(connection):
        changed = connection.execute(
            "update replacements set status = 'ordered', printer_job = ? where id = ? and status in ('open', 'failed')",
            (printer_job, order.id),
        ).rowcount
        connection.execute("delete from failed_orders where replacement_id = ?", (order.id,))
''', '''    changed = connection.execute(
        "update replacements set status = 'ordered', printer_job = ? where id = ? and status in ('open', 'failed')",
        (printer_job, order.id),
    ).rowcount
    connection.execute("delete from failed_orders where replacement_id = ?", (order.id,))
'''),
            ("busverkehr/replacements.py", '''    with transaction(connection):
        changed = connection.execute(
            "update replacements set status = 'failed' where id = ? and status = 'open'", (order.id,)
        ).rowcount
        if changed:
            connection.execute(
                "insert into failed_orders (replacement_id, reason, failed_at) values (?, ?, ?)",
                (order.id, reason[:200], int(time.time())),
            )
''', '''    changed = connection.execute(
        "update replacements set status = 'failed' where id = ? and status = 'open'", (order.id,)
    ).rowcount
    if changed:
        connection.execute(
            "insert into failed_orders (replacement_id, reason, failed_at) values (?, ?, ?)",
            (order.id, reason[:200], int(time.time())),
        )
'''),
        ],
    },
    {
        "id": "m-due-filter",
        "kind": "mistake",
        "job": JOB,
        "what": (
            'due() looks only for rows with tries left (tries < 6), and the check for too many is gone from '
            'attempt(). Promise broken: dead_letter after the last attempt, a death loses nothing, deliveries 7. '
            'Events: five tries end with 503 (or with a killed run); take() commits tries=6; the run is killed '
            'before the answer, or the three writes of ordered/failed fail; the row stays open with tries=6 and '
            'no run ever selects it again: not ordered for all we know, no line in failed_orders.'
        ),
        "edits": [
            ("busverkehr/nightly.py", '''    if order.tries > config.TRIES:
        return give_up(connection, order, job_id, "the last try has no known end")
''', ''),
            ("busverkehr/replacements.py", '''        "select id, tries from replacements where status = 'open' and next_try_at <= ?"
        " order by next_try_at, id limit ?",
        (int(time.time()), config.BATCH),
''', '''        "select id, tries from replacements where status = 'open' and tries < ? and next_try_at <= ?"
        " order by next_try_at, id limit ?",
        (config.TRIES, int(time.time()), config.BATCH),
'''),
            ("tests/test_nightly.py", '''    for tries in range(6):
''', '''    for tries in range(5):
'''),
            ("tests/test_nightly.py", '''    assert "BV-E-1" not in works.asked and rows(ONE)[0][0] == "failed"
''', '''    assert works.asked.count("BV-E-1") == 1 and rows(ONE)[0][:2] == ("ordered", 6)
'''),
        ],
    },
    {
        "id": "m-run-lock",
        "kind": "mistake",
        "job": JOB,
        "what": (
            'Two runs are kept apart by a row in run_lock that is deleted in a finally. Promise broken: a '
            "worker's death loses nothing. Events: the run inserts its lock and commits; it is killed (OOM, power "
            'cut) at any row; the finally is not run and the lock stays; each later run finds it, logs skipped, '
            'returns {} and exits 0: nothing is ordered any more until somebody deletes the row. The same if the '
            'delete itself fails once.'
        ),
        "edits": [
            (".skillrun/jobs/order-replacements.yaml", '''    failed: select replacement_id from failed_orders order by 1
''', '''    failed: select replacement_id from failed_orders order by 1
  not_state: [run_lock]
'''),
            ("busverkehr/nightly.py", '''        for replacement_id, tries in replacements.due(connection):
            try:
                results[attempt(connection, replacement_id, tries, job_id)] += 1
            except Exception as error:
                # The row comes up again at its next_try_at.
                results["broken"] += 1
                say(logging.ERROR, job_id, replacement_id, tries + 1, "broken", reason=type(error).__name__)
''', '''        if not store.lock(connection, "order-replacements", job_id):
            log.info("job=order-replacements job_id=%s outcome=skipped reason=running", job_id)
            return {}
        try:
            for replacement_id, tries in replacements.due(connection):
                try:
                    results[attempt(connection, replacement_id, tries, job_id)] += 1
                except Exception as error:
                    # The row comes up again at its next_try_at.
                    results["broken"] += 1
                    say(logging.ERROR, job_id, replacement_id, tries + 1, "broken", reason=type(error).__name__)
        finally:
            store.unlock(connection, "order-replacements", job_id)
'''),
            ("busverkehr/store.py", ''');
"""
''', ''');
create table if not exists run_lock (
    job text primary key,
    holder text not null
);
"""
'''),
            ("busverkehr/store.py", '''
def create(examples=False):
''', '''
def lock(connection, job, holder):
    with transaction(connection):
        return connection.execute("insert or ignore into run_lock values (?, ?)", (job, holder)).rowcount == 1


def unlock(connection, job, holder):
    with transaction(connection):
        connection.execute("delete from run_lock where job = ? and holder = ?", (job, holder))


def create(examples=False):
'''),
        ],
    },
]
