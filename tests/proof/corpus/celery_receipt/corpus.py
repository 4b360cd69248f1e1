"""A receipt by email: the key is a row in a SQLite table, the receiver drops repetitions for a day."""

from run import Mutant, Variant

DRIVER = "celery"
TASKS, CELERY, DB, ORDERS = "shop/tasks.py", "shop/celery.py", "shop/db.py", "shop/orders.py"
KEY = 'f"receipt-{order_id}"'
SEND = f"    mailer.send(order_id, email, idempotency_key={KEY})\n"
MARK = "    mark_sent(order_id, email)\n"
CHECK = """    if was_sent(order_id):
        log.info("receipt already sent order_id=%s", order_id)
        return
"""
SELECT = '"SELECT 1 FROM receipts WHERE order_id = ?", (order_id,)'
RETRY = "    autoretry_for=(mailer.Unavailable, TimeoutError),\n"
BACKOFF = "    retry_backoff=2,\n    retry_backoff_max=60,\n    retry_jitter=True,\n"
PUBLISH = "    tasks.send_receipt.delay(order_id=order_id, email=email)\n"
REASON = '"receipt will be retried order_id=%s reason=%r", kwargs.get("order_id"), exc'


def _key(id_: str, what: str, key: str, *more: tuple[str, str, str], **options: object) -> Mutant:
    return Mutant(id_, what, ((TASKS, f"idempotency_key={KEY}", f"idempotency_key={key}"), *more), **options)  # type: ignore[arg-type]


MUTANTS = [
    Mutant("A01", "Redis gives waiting retries back before they are due",
           ((CELERY, '"visibility_timeout": 3600', '"visibility_timeout": 5'),),
           source="https://github.com/celery/kombu/issues/337"),
    _key("B01", "the key is the task's id", 'f"receipt-{self.request.id}"'),
    _key("B02", "the key counts the attempts", 'f"receipt-{order_id}-{self.request.retries}"', quick=True),
    _key("B03", "the key is random", "str(uuid.uuid4())", (TASKS, "import json\n", "import json\nimport uuid\n")),
    _key("B04", "the key has the day in it", 'f"receipt-{order_id}-{date.today()}"',
         (TASKS, "import json\n", "import json\nfrom datetime import date\n")),
    _key("B05", "one key for all", '"receipt"'),
    _key("B06", "the key is the customer", 'f"receipt-{email}"'),
    _key("B07", "the key is a hash of this interpreter", 'f"receipt-{hash((order_id, email))}"'),
    _key("B08", "no key", "None"),
    Mutant("C01", "marked before it is sent", ((TASKS, SEND + MARK, MARK + SEND),), quick=True),
    Mutant("C02", "nothing remembers that it was sent", ((TASKS, CHECK, ""),)),
    Mutant("C03", "looked up by address",
           ((TASKS, "was_sent(order_id: int)", "was_sent(email: str)"), (TASKS, "if was_sent(order_id)", "if was_sent(email)"),
            (TASKS, SELECT, '"SELECT 1 FROM receipts WHERE email = ?", (email,)'))),
    Mutant("C04", "marked whether or not it was sent",
           ((TASKS, SEND + MARK, f"    try:\n    {SEND}    finally:\n    {MARK}"),)),
    Mutant("C05", "the table takes two rows of one order", ((DB, "order_id INTEGER NOT NULL UNIQUE", "order_id INTEGER NOT NULL"),),
           source="hermes-agent#57832"),
    Mutant("C06", "the second of two at once fails on the marker",
           ((TASKS, "INSERT INTO receipts VALUES (?, ?) ON CONFLICT DO NOTHING", "INSERT INTO receipts VALUES (?, ?)"),)),
    Mutant("C07", "forgets after an hour",
           ((DB, "UNIQUE, email TEXT NOT NULL)", "UNIQUE, email TEXT NOT NULL, at TEXT DEFAULT CURRENT_TIMESTAMP)"),
            (TASKS, "INSERT INTO receipts VALUES", "INSERT INTO receipts (order_id, email) VALUES"),
            (TASKS, "WHERE order_id = ?", "WHERE order_id = ? AND at > datetime('now', '-1 hour')"))),
    Mutant("C08", "claims the order and never gives the claim back",
           ((TASKS, f"{CHECK}{SEND}{MARK}", f"""    with db.transaction() as connection:
        row = (order_id, email)
        claimed = connection.execute("INSERT INTO receipts VALUES (?, ?) ON CONFLICT DO NOTHING", row).rowcount
    if not claimed:
        log.info("receipt already sent order_id=%s", order_id)
        return
{SEND}"""),)),
    Mutant("D01", "max_retries taken for attempts", ((TASKS, "max_retries=3", "max_retries=4"),)),
    Mutant("D02", "every error is retried", ((TASKS, RETRY, "    autoretry_for=(Exception,),\n"),), quick=True,
           source="PDF-Assistant-RAG#664"),
    Mutant("D03", "no limit", ((TASKS, "max_retries=3", "max_retries=None"),), source="joeflow#28"),
    Mutant("D04", "the default delay", ((TASKS, BACKOFF, ""),)),
    Mutant("D05", "no jitter", ((TASKS, "retry_jitter=True", "retry_jitter=False"),)),
    Mutant("D06", "the cap makes it flat", ((TASKS, "retry_backoff_max=60", "retry_backoff_max=2"),)),
    Mutant("D07", "one of the two errors is not retried", ((TASKS, RETRY, "    autoretry_for=(mailer.Unavailable,),\n"),)),
    Mutant("D08", "retry_backoff=True counts from 1 s up to 10 minutes",
           ((TASKS, BACKOFF, "    retry_backoff=True,\n    retry_jitter=False,\n"),)),
    Mutant("D09", "given up at the first error", ((TASKS, RETRY, ""),)),
    Mutant("E01", "acknowledged before it runs", ((CELERY, "    task_acks_late=True,\n", ""),)),
    Mutant("E02", "a killed child's message is acknowledged",
           ((CELERY, "    task_reject_on_worker_lost=True,\n    task_retry_on_worker_lost=True,\n", ""),
            (TASKS, "class LoggedTask(Task):", """class LoggedTask(Task):
    def on_failure(self, exc: Exception, task_id: str, args: tuple, kwargs: dict[str, Any], einfo: Any) -> None:
        give_up(exc, kwargs)
"""), (TASKS, "@task_failure.connect(sender=send_receipt)\n", "")),
           source="https://github.com/celery/celery/issues/1628"),
    Mutant("E03", "published for a new order only",
           ((ORDERS, "        connection.execute(", "        new = connection.execute("),
            (ORDERS, "(order_id, email))\n", "(order_id, email)).rowcount\n"),
            (ORDERS, PUBLISH, f"    if new:\n    {PUBLISH}"))),
    Mutant("E04", "an invalid job leaves no dead letter",
           ((TASKS, "    with db.transaction() as connection:\n        row = (json",
             "    if isinstance(exception, ValueError):\n        return\n    with db.transaction() as connection:\n        row = (json"),),
           keeps="the message breaks the payload's schema, ends at once, and its error is in the records"),
    Mutant("E05", "a bad address is ignored",
           ((TASKS, SEND, f"""    try:
    {SEND}    except mailer.BadAddress as error:
        raise Ignore() from error
"""), (TASKS, "from celery.signals", "from celery.exceptions import Ignore\nfrom celery.signals"))),
    Mutant("E06", "two dead letters of one job",
           ((DB, "dead_jobs (payload TEXT NOT NULL UNIQUE", "dead_jobs (payload TEXT NOT NULL"),)),
    Mutant("E08", "the dead letters of all jobs have one key",
           ((TASKS, "row = (json.dumps(kwargs, sort_keys=True), repr(exception))", 'row = ("send_receipt", repr(exception))'),)),
    Mutant("E07", "a database that cannot write the marker is ignored",
           ((TASKS, MARK, f"    try:\n    {MARK}    except Exception:\n"
             "        log.exception(\"receipt cannot be marked order_id=%s\", order_id)\n"),), quick=True),
    Mutant("F01", "an error becomes a result",
           ((TASKS, SEND, f"""    try:
    {SEND}    except Exception as error:
        log.error("receipt failed order_id=%s reason=%r", order_id, error)
        return {{"status": "error"}}
"""), (TASKS, "email: str) -> None:\n    \"\"\"Emails", "email: str) -> dict | None:\n    \"\"\"Emails")),
           source="stock-screener#49"),
    Mutant("F02", "the log does not say why",
           ((TASKS, REASON, '"receipt will be retried order_id=%s", kwargs.get("order_id")'),)),
    Mutant("F03", "success leaves no record", ((TASKS, '    log.info("receipt succeeded order_id=%s", order_id)\n', ""),)),
    Mutant("F04", "success is logged before it is one",
           ((TASKS, SEND + MARK + '    log.info("receipt succeeded order_id=%s", order_id)\n',
             '    log.info("receipt succeeded order_id=%s", order_id)\n' + SEND + MARK),)),
    Mutant("F05", "the log does not say which order",
           ((TASKS, '"receipt succeeded order_id=%s", order_id', '"receipt succeeded"'),),
           keeps="a task logger writes the task's id, and the record of the start has the order beside it"),
    Mutant("G01", "any number is an order",
           ((TASKS, """    if not isinstance(order_id, int) or order_id < 1:
        raise InvalidOrder(f"{order_id!r} is no order number")
""", ""),)),
]  # fmt: skip

IMPORT = "from shop.celery import app\n"
BODY = f"{CHECK}{SEND}{MARK}"
VARIANTS = [
    Variant("lease", "a claim with a lease, which a crash leaves to expire", edits=(
        (DB, "UNIQUE, email TEXT NOT NULL)", "UNIQUE, email TEXT NOT NULL, until REAL, done INTEGER NOT NULL DEFAULT 0)"),
        (TASKS, "import json\n", "import json\nimport time\n"),
        (TASKS, f'''def was_sent(order_id: int) -> bool:
    """Whether the receipt of this order went out."""
    with db.transaction() as connection:
        return connection.execute({SELECT}).fetchone() is not None


def mark_sent(order_id: int, email: str) -> None:
    """Records the receipt, once."""
    with db.transaction() as connection:
        connection.execute("INSERT INTO receipts VALUES (?, ?) ON CONFLICT DO NOTHING", (order_id, email))
''', '''class Busy(Exception):
    """Another delivery is at it, or died at it."""


def claim(order_id: int, email: str) -> bool:
    """False where it was sent. Raises Busy."""
    now = time.time()
    with db.transaction() as connection:
        connection.execute("BEGIN IMMEDIATE")
        row = connection.execute("SELECT until, done FROM receipts WHERE order_id = ?", (order_id,)).fetchone()
        if row and row[1]:
            return False
        if row and row[0] > now:
            raise Busy(f"order {order_id} is being sent")
        connection.execute("INSERT OR REPLACE INTO receipts VALUES (?, ?, ?, 0)", (order_id, email, now + 30))
        return True


def mark_sent(order_id: int) -> None:
    with db.transaction() as connection:
        connection.execute("UPDATE receipts SET done = 1 WHERE order_id = ?", (order_id,))


def release(order_id: int) -> None:
    with db.transaction() as connection:
        connection.execute("DELETE FROM receipts WHERE order_id = ? AND done = 0", (order_id,))
'''),
        (TASKS, "autoretry_for=(mailer.Unavailable, TimeoutError)", "autoretry_for=(mailer.Unavailable, TimeoutError, Busy)"),
        (TASKS, BODY, f'''    if not claim(order_id, email):
        log.info("receipt already sent order_id=%s", order_id)
        return
    try:
    {SEND}    except Exception:
        release(order_id)
        raise
    mark_sent(order_id)
'''),
        (".skillrun/jobs/send-receipt.yaml", "transient: [shop.mailer:Unavailable, TimeoutError]",
         "transient: [shop.mailer:Unavailable, TimeoutError, shop.tasks:Busy]"),
    )),
    Variant("one-transaction", "the email is sent inside of the transaction that marks it", quick=True, edits=(
        (TASKS, BODY, f'''    with db.transaction() as connection:
        connection.execute("BEGIN IMMEDIATE")
        row = (order_id, email)
        if not connection.execute("INSERT INTO receipts VALUES (?, ?) ON CONFLICT DO NOTHING", row).rowcount:
            log.info("receipt already sent order_id=%s", order_id)
            return
    {SEND}'''),
    )),
    Variant("own-retry", "self.retry with a countdown of its own; the last error is recorded by the handler", edits=(
        (TASKS, "import json\n", "import json\nimport random\n"),
        (TASKS, RETRY, ""), (TASKS, BACKOFF, ""),
        (TASKS, SEND, f'''    try:
    {SEND}    except (mailer.Unavailable, TimeoutError) as error:
        countdown = random.randint(1, min(60, 2 * 2**self.request.retries))
        raise self.retry(exc=error, countdown=countdown)
'''),
    )),
    Variant("gives-up-itself", "takes a bad address itself: records it and returns", edits=(
        (TASKS, SEND, f'''    try:
    {SEND}    except mailer.BadAddress as error:
        give_up(error, {{"order_id": order_id, "email": email}})
        return
'''),
    )),
    Variant("on-failure", "the dead letter is written by on_failure; messages of dead workers come back", edits=(
        (CELERY, "    task_retry_on_worker_lost=True,\n", ""),
        (TASKS, "class LoggedTask(Task):", '''class LoggedTask(Task):
    def on_failure(self, exc: Exception, task_id: str, args: tuple, kwargs: dict[str, Any], einfo: Any) -> None:
        give_up(exc, kwargs)
'''), (TASKS, "@task_failure.connect(sender=send_receipt)\n", ""),
    )),
    Variant("printed", "print instead of logging, fields as JSON", edits=(
        (TASKS, "log = get_task_logger(__name__)\n", '''def say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)
'''),
        (TASKS, "from celery.utils.log import get_task_logger\n", ""),
        (TASKS, f"log.warning({REASON})", 'say("retry", order_id=kwargs.get("order_id"), reason=repr(exc))'),
        (TASKS, 'log.info("receipt started order_id=%s task_id=%s", order_id, self.request.id)', 'say("started", order_id=order_id)'),
        (TASKS, 'log.info("receipt already sent order_id=%s", order_id)', 'say("already", order_id=order_id)'),
        (TASKS, 'log.info("receipt succeeded order_id=%s", order_id)', 'say("succeeded", order_id=order_id)'),
        (TASKS, 'log.error("receipt is dead order_id=%s reason=%r", kwargs.get("order_id"), exception)',
         'say("dead", order_id=kwargs.get("order_id"), reason=repr(exception))'),
    )),
]  # fmt: skip
