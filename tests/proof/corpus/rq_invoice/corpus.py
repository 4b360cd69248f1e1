"""A booking in the accounting system: the key is a row in a SQLite table, RQ's on_failure gives up and keeps the dead."""

from run import Mutant, Variant

DRIVER = "rq"
JOBS, DB, INVOICES, SPEC = "billing/jobs.py", "billing/db.py", "billing/invoices.py", ".skillrun/jobs/book-invoice.yaml"
KEY = 'f"invoice-{invoice_id}"'
POST = f"    accounting.post(invoice_id, cents, idempotency_key={KEY})\n"
MARK = "    mark_booked(invoice_id, cents)\n"
DONE = '    log.info("booking succeeded invoice_id=%s", invoice_id)\n'
CHECK = """    if was_booked(invoice_id):
        log.info("already booked invoice_id=%s", invoice_id)
        return
"""
VALID = """    if not isinstance(invoice_id, int) or invoice_id < 1:
        raise InvalidInvoice(f"{invoice_id!r} is no invoice")
"""
INSERT = '"INSERT INTO bookings VALUES (?, ?) ON CONFLICT DO NOTHING", (invoice_id, cents)'
SELECT = '"SELECT 1 FROM bookings WHERE invoice_id = ?", (invoice_id,)'
RETRY = "        retry=Retry(max=3, interval=[10, 30, 60]),\n"
CALLBACK = "        on_failure=Callback(jobs.failed),\n"
GIVE_UP = "    if isinstance(error, PERMANENT):\n        job.retries_left = 0\n"
WARN = '        log.warning("booking will be retried invoice_id=%s reason=%r", invoice, error)\n'
IMPORT = "from rq.job import Job\n"


def _key(id_: str, what: str, key: str, *more: tuple[str, str, str], **options: object) -> Mutant:
    return Mutant(id_, what, ((JOBS, f"idempotency_key={KEY}", f"idempotency_key={key}"), *more), **options)  # type: ignore[arg-type]


def _retry(id_: str, what: str, retry: str, **options: object) -> Mutant:
    return Mutant(id_, what, ((INVOICES, RETRY, retry),), **options)  # type: ignore[arg-type]


CURRENT = (JOBS, IMPORT, "from rq import get_current_job\nfrom rq.job import Job\n")

MUTANTS = [
    _key("B01", "the key is RQ's job id", 'f"invoice-{get_current_job().id}"', CURRENT),
    _key("B02", "the key counts the attempts", 'f"invoice-{invoice_id}-{get_current_job().retries_left}"', CURRENT, quick=True),
    _key("B03", "the key is random", "str(uuid.uuid4())", (JOBS, "import logging\n", "import logging\nimport uuid\n")),
    _key("B04", "the key has the day in it", 'f"invoice-{invoice_id}-{date.today()}"',
         (JOBS, "import logging\n", "import logging\nfrom datetime import date\n")),
    _key("B05", "one key for all", '"invoice"'),
    _key("B06", "the key is the amount", 'f"invoice-{cents}"'),
    _key("B07", "the key is a hash of this interpreter", "str(hash(str(invoice_id)))"),
    _key("B08", "no key", "None"),
    Mutant("C01", "marked before it is posted", ((JOBS, POST + MARK, MARK + POST),), quick=True,
           source="https://github.com/RamaAditya49/titen/issues/48"),
    Mutant("C02", "nothing remembers that it was booked", ((JOBS, CHECK, ""),)),
    Mutant("C03", "looked up by the amount",
           ((JOBS, "if was_booked(invoice_id)", "if was_booked(cents)"), (JOBS, "WHERE invoice_id = ?", "WHERE cents = ?"))),
    Mutant("C04", "marked whether or not it was posted",
           ((JOBS, POST + MARK, f"    try:\n    {POST}    finally:\n    {MARK}"),)),
    Mutant("C05", "the table takes two rows of one invoice",
           ((DB, "invoice_id INTEGER NOT NULL UNIQUE", "invoice_id INTEGER NOT NULL"),),
           source="https://github.com/NousResearch/hermes-agent/issues/57832"),
    Mutant("C06", "forgets after an hour",
           ((DB, "UNIQUE, cents INTEGER NOT NULL)", "UNIQUE, cents INTEGER NOT NULL, at TEXT DEFAULT CURRENT_TIMESTAMP)"),
            (JOBS, "INSERT INTO bookings VALUES", "INSERT INTO bookings (invoice_id, cents) VALUES"),
            (JOBS, "WHERE invoice_id = ?", "WHERE invoice_id = ? AND at > datetime('now', '-1 hour')"))),
    Mutant("C07", "claims the invoice and never gives the claim back",
           ((JOBS, CHECK + POST + MARK, f"""    with db.transaction() as connection:
        claimed = connection.execute({INSERT}).rowcount
    if not claimed:
        log.info("already booked invoice_id=%s", invoice_id)
        return
{POST}"""),)),
    Mutant("C08", "the booked row is inserted again by a redelivery",
           ((JOBS, CHECK, ""), (DB, "invoice_id INTEGER NOT NULL UNIQUE", "invoice_id INTEGER NOT NULL"))),
    _retry("D01", "max counts attempts", "        retry=Retry(max=4, interval=[10, 30, 60]),\n"),
    _retry("D02", "no retry at all", ""),
    _retry("D03", "retries at once", "        retry=Retry(max=3),\n"),
    _retry("D04", "a flat interval", "        retry=Retry(max=3, interval=10),\n", quick=True),
    _retry("D05", "intervals in the wrong order", "        retry=Retry(max=3, interval=[60, 30, 10]),\n"),
    _retry("D06", "minutes taken for seconds", "        retry=Retry(max=3, interval=[1, 3, 6]),\n"),
    Mutant("D07", "what can never work is retried", ((JOBS, GIVE_UP, ""),), source="PDF-Assistant-RAG#664"),
    Mutant("D08", "a rejected posting is retried", ((JOBS, "(accounting.Rejected, InvalidInvoice,", "(InvalidInvoice,"),)),
    Mutant("D09", "a job with a wrong payload is retried", ((JOBS, "InvalidInvoice, TypeError)", "InvalidInvoice)"),)),
    Mutant("D10", "a timeout is taken for permanent",
           ((JOBS, "    if isinstance(error, PERMANENT):", "    if not isinstance(error, accounting.Unavailable):"),)),
    Mutant("D11", "tries three times by itself, in each attempt",
           ((JOBS, POST, f"""    for left in (2, 1, 0):
        try:
            accounting.post(invoice_id, cents, idempotency_key={KEY})
            break
        except accounting.Unavailable:
            if not left:
                raise
            time.sleep(10)
"""), (JOBS, "import logging\n", "import logging\nimport time\n"))),
    Mutant("D12", "on_failure enqueues the job again beside RQ's retry",
           ((JOBS, WARN, WARN + "        queue.enqueue(book_invoice, **job.kwargs)\n"),
            (JOBS, "from billing import accounting, db\n", "from billing import accounting, db\nfrom billing.queues import queue\n"))),
    Mutant("E01", "the job's ttl is over before its retry", ((INVOICES, RETRY, f"{RETRY}        ttl=5,\n"),)),
    Mutant("E02", "published for a new invoice only",
           ((INVOICES, "        connection.execute(", "        new = connection.execute("),
            (INVOICES, "(invoice_id, cents))\n", "(invoice_id, cents)).rowcount\n    if not new:\n        return\n"))),
    Mutant("E03", "no on_failure", ((INVOICES, CALLBACK, ""),)),
    Mutant("E04", "an invalid job leaves no dead letter",
           ((JOBS, "    with db.transaction() as transaction:", "    if isinstance(error, ValueError):\n        return\n    with db.transaction() as transaction:"),)),
    Mutant("E05", "a rejection is swallowed", ((JOBS, POST, f"    try:\n    {POST}    except accounting.Rejected:\n        return\n"),)),
    Mutant("E06", "a dead letter for each failed attempt",
           ((JOBS, WARN + "        return\n", WARN),
            (DB, "dead_jobs (payload TEXT NOT NULL UNIQUE", "dead_jobs (payload TEXT NOT NULL"))),
    Mutant("E07", "a job whose worker died is given up",
           ((JOBS, "    if isinstance(error, PERMANENT):", "    if not isinstance(error, (accounting.Unavailable, TimeoutError)):"),)),
    Mutant("E08", "the dead letter is written after a check that never is true", ((JOBS, "    if job.retries_left:", "    if job.retries_left is not None:"),)),
    Mutant("F01", "an error becomes a result",
           ((JOBS, POST, f"""    try:
    {POST}    except Exception as error:
        log.error("booking failed invoice_id=%s reason=%r", invoice_id, error)
        return {{"status": "error"}}
"""), (JOBS, "cents: int) -> None:\n    \"\"\"Books", "cents: int) -> dict | None:\n    \"\"\"Books")),
           source="stock-screener#49"),
    Mutant("F02", "the log does not say which invoice is retried",
           ((JOBS, '"booking will be retried invoice_id=%s reason=%r", invoice, error', '"booking will be retried: %r", error'),)),
    Mutant("F03", "the same words for a retry and for the end",
           ((JOBS, '"booking will be retried invoice_id=%s reason=%r"', '"booking failed invoice_id=%s reason=%r"'),
            (JOBS, 'log.error("booking is dead invoice_id', 'log.warning("booking failed invoice_id'))),
    Mutant("F04", "success leaves no record", ((JOBS, DONE, ""),),
           keeps="RQ's worker logs that the job was completed, with its arguments; the answer is the framework's then"),
    Mutant("F05", "the start leaves no record", ((JOBS, '    log.info("booking started invoice_id=%s", invoice_id)\n', ""),),
           keeps="RQ's worker logs each job that it takes, with its arguments"),
    Mutant("F06", "the retry is logged for nobody", ((JOBS, WARN, WARN.replace("warning", "debug")),)),
    Mutant("G01", "any number is an invoice", ((JOBS, VALID, ""),)),
    Mutant("G02", "cents are lost on the way",
           ((JOBS, "(invoice_id, cents))", "(invoice_id, round(cents / 100)))"), (JOBS, "accounting.post(invoice_id, cents,", "accounting.post(invoice_id, cents // 100 * 100,")),
           keeps="wrong in each run, also in the single one: what is right is the tests' business, not a matter of faults"),
]  # fmt: skip

CLAIM = f'''class Busy(Exception):
    """Another delivery is at it, or died at it."""


def claim(invoice_id: int, cents: int) -> bool:
    """False where it was booked. Raises Busy."""
    now = time.time()
    with db.transaction() as connection:
        connection.execute("BEGIN IMMEDIATE")
        row = connection.execute("SELECT until, done FROM bookings WHERE invoice_id = ?", (invoice_id,)).fetchone()
        if row and row[1]:
            return False
        if row and row[0] > now:
            raise Busy(f"invoice {{invoice_id}} is being booked")
        connection.execute("INSERT OR REPLACE INTO bookings VALUES (?, ?, ?, 0)", (invoice_id, cents, now + 20))
        return True


def finish(invoice_id: int) -> None:
    with db.transaction() as connection:
        connection.execute("UPDATE bookings SET done = 1 WHERE invoice_id = ?", (invoice_id,))


def release(invoice_id: int) -> None:
    with db.transaction() as connection:
        connection.execute("DELETE FROM bookings WHERE invoice_id = ? AND done = 0", (invoice_id,))


def book_invoice('''
RECORD = """        row = (json.dumps(job.kwargs, sort_keys=True), repr(error))
"""

VARIANTS = [
    Variant("lease", "a claim with a lease, which a crash leaves to expire", edits=(
        (DB, "UNIQUE, cents INTEGER NOT NULL)", "UNIQUE, cents INTEGER NOT NULL, until REAL, done INTEGER NOT NULL DEFAULT 0)"),
        (JOBS, "import logging\n", "import logging\nimport time\n"),
        (JOBS, "def book_invoice(", CLAIM),
        (JOBS, CHECK + POST + MARK, f'''    if not claim(invoice_id, cents):
        log.info("already booked invoice_id=%s", invoice_id)
        return
    try:
    {POST}    except Exception:
        release(invoice_id)
        raise
    finish(invoice_id)
'''),
        (SPEC, "transient: [billing.accounting:Unavailable, TimeoutError]",
         "transient: [billing.accounting:Unavailable, TimeoutError, billing.jobs:Busy]"),
    )),
    Variant("one-transaction", "posted inside of the transaction that marks it", quick=True, edits=(
        (JOBS, CHECK + POST + MARK, f'''    with db.transaction() as connection:
        connection.execute("BEGIN IMMEDIATE")
        if not connection.execute({INSERT}).rowcount:
            log.info("already booked invoice_id=%s", invoice_id)
            return
    {POST}'''),
    )),
    Variant("gives-up-itself", "takes a rejection itself: records it and returns", edits=(
        (JOBS, POST, f'''    try:
    {POST}    except accounting.Rejected as error:
        log.error("booking is dead invoice_id=%s reason=%r", invoice_id, error)
        with db.transaction() as transaction:
            row = (json.dumps({{"cents": cents, "invoice_id": invoice_id}}), repr(error))
            transaction.execute("INSERT INTO dead_jobs VALUES (?, ?) ON CONFLICT DO NOTHING", row)
        return
'''),
    )),
    Variant("returned-retry", "returns Retry for what may pass; the last attempt raises, and on_failure keeps it", edits=(
        (JOBS, IMPORT, "from rq import Retry, get_current_job\nfrom rq.job import Job\n"),
        (JOBS, POST, f'''    try:
    {POST}    except (accounting.Unavailable, TimeoutError) as error:
        job = get_current_job()
        if (job.number_of_retries or 0) >= 3:
            job.meta["over"] = True
            job.save_meta()
            raise
        log.warning("booking will be retried invoice_id=%s reason=%r", invoice_id, error)
        return Retry(max=3, interval=[10, 30, 60])
'''),
        (JOBS, "if isinstance(error, PERMANENT):", 'if isinstance(error, PERMANENT) or job.get_meta().get("over"):'),
    )),
    Variant("decorator", "@job with its options, enqueued by delay", edits=(
        (JOBS, IMPORT, "from rq import Callback, Retry\nfrom rq.decorators import job as background\nfrom rq.job import Job\n"),
        (JOBS, "from billing import accounting, db\n", "from billing import accounting, db\nfrom billing.queues import connection as redis\n"),
        (JOBS, "def book_invoice(", '''def failed(job: Job, connection: Any, kind: type[Exception], error: Exception, trace: Any) -> None:
    """After each failed attempt: RQ retries whatever is raised, unless no attempt is left."""
    invoice = job.kwargs.get("invoice_id")
    if isinstance(error, PERMANENT):
        job.retries_left = 0
    if job.retries_left:
        log.warning("booking will be retried invoice_id=%s reason=%r", invoice, error)
        return
    log.error("booking is dead invoice_id=%s reason=%r", invoice, error)
    with db.transaction() as transaction:
        row = (json.dumps(job.kwargs, sort_keys=True), repr(error))
        transaction.execute("INSERT INTO dead_jobs VALUES (?, ?) ON CONFLICT DO NOTHING", row)


@background("billing", connection=redis, retry=Retry(max=3, interval=[10, 30, 60]), on_failure=Callback(failed))
def book_invoice('''),
        (JOBS, DONE + '\n\ndef failed(job: Job, connection: Any, kind: type[Exception], error: Exception, trace: Any) -> None:\n'
         '    """After each failed attempt: RQ retries whatever is raised, unless no attempt is left."""\n'
         '    invoice = job.kwargs.get("invoice_id")\n    if isinstance(error, PERMANENT):\n        job.retries_left = 0\n'
         '    if job.retries_left:\n' + WARN + '        return\n'
         '    log.error("booking is dead invoice_id=%s reason=%r", invoice, error)\n    with db.transaction() as transaction:\n'
         + RECORD +
         '        transaction.execute("INSERT INTO dead_jobs VALUES (?, ?) ON CONFLICT DO NOTHING", row)\n', DONE),
        (INVOICES, "from rq import Callback, Retry\n\n", ""), (INVOICES, "from billing.queues import queue\n", ""),
        (INVOICES, "queue.enqueue(\n        jobs.book_invoice,\n", "jobs.book_invoice.delay(\n"),
        (INVOICES, RETRY + CALLBACK, ""),
    )),
    Variant("failed-registry", "RQ's own FailedJobRegistry is the dead letter", edits=(
        (JOBS, '    with db.transaction() as transaction:\n' + RECORD
         + '        transaction.execute("INSERT INTO dead_jobs VALUES (?, ?) ON CONFLICT DO NOTHING", row)\n', ""),
        (SPEC, "dead_letter: {kind: table, where: dead_jobs}", "dead_letter: {kind: framework}"),
        (SPEC, "  dead_letters: select count(*) from dead_jobs\n", ""),
    )),
    Variant("async", "a coroutine", edits=(
        (JOBS, "def book_invoice(", "async def book_invoice("),
    )),
    Variant("printed", "print instead of logging, fields as JSON", edits=(
        (JOBS, "log = logging.getLogger(__name__)\n", '''def say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)
'''),
        (JOBS, "import logging\n", ""),
        (JOBS, WARN.strip(), 'say("retry", invoice_id=invoice, reason=repr(error))'),
        (JOBS, 'log.info("booking started invoice_id=%s", invoice_id)', 'say("started", invoice_id=invoice_id)'),
        (JOBS, 'log.info("already booked invoice_id=%s", invoice_id)', 'say("already", invoice_id=invoice_id)'),
        (JOBS, DONE.strip(), 'say("succeeded", invoice_id=invoice_id)'),
        (JOBS, 'log.error("booking is dead invoice_id=%s reason=%r", invoice, error)', 'say("dead", invoice_id=invoice, reason=repr(error))'),
    )),
    Variant("job-id", "the job's id is made of the invoice, and is the key", edits=(
        (INVOICES, RETRY, f'        job_id=f"invoice-{{invoice_id}}",\n{RETRY}'),
        (JOBS, IMPORT, "from rq import get_current_job\nfrom rq.job import Job\n"),
        (JOBS, f"idempotency_key={KEY}", "idempotency_key=get_current_job().id"),
    )),
    Variant("no-redis-url", "the connection is not told by the environment", edits=(
        ("billing/queues.py", 'os.environ.get("REDIS_URL", "redis://localhost:6379/0")', '"redis://localhost:6379/2"'),
        ("billing/queues.py", "import os\n\n", ""),
    )),
]  # fmt: skip
