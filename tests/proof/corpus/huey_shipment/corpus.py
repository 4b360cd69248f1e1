"""A parcel booked with a carrier: the key is a row in a SQLite table, the carrier drops repetitions for a day."""

from run import Mutant, Variant

DRIVER = "huey"
TASKS, DB, ORDERS, QUEUE = "depot/tasks.py", "depot/db.py", "depot/orders.py", "depot/queue.py"
SPEC = ".skillrun/jobs/book-shipment.yaml"
KEY = 'f"shipment-{order_id}"'
BOOK = f"    carrier.book(order_id, address, idempotency_key={KEY})\n"
MARK = "    mark_booked(order_id, address)\n"
DONE = '    log.info("shipment booked order_id=%s", order_id)\n'
CHECK = """    if is_booked(order_id):
        log.info("shipment already booked order_id=%s", order_id)
        return
"""
SELECT = '"SELECT 1 FROM shipments WHERE order_id = ?", (order_id,)'
INSERT = '"INSERT INTO shipments VALUES (?, ?) ON CONFLICT DO NOTHING", (order_id, address)'
OPTIONS = "retries=3, retry_delay=10, retry_backoff=3, context=True"
DECORATOR = f"@huey.task({OPTIONS})  # four runs, 10, 30, 90 seconds apart\n"
CANCEL = "        raise CancelExecution(retry=False) from error\n"
LAST = """        if not task.retries:
            give_up(payload, error)
            raise
"""
WARN = '        log.warning("shipment will be retried order_id=%s reason=%r", order_id, error)\n'
GIVEN_UP = '    log.error("shipment given up order_id=%s reason=%r", payload.get("order_id"), error)\n'
PUBLISH = '    tasks.book_shipment({"order_id": order_id, "address": address})\n'


def _importing(name: str) -> tuple[str, str, str]:
    return (TASKS, "import json\n", f"import json\nimport {name}\n")


def _key(id_: str, what: str, key: str, *more: tuple[str, str, str], **options: object) -> Mutant:
    return Mutant(id_, what, ((TASKS, f"idempotency_key={KEY}", f"idempotency_key={key}"), *more), **options)  # type: ignore[arg-type]


def _options(id_: str, what: str, options: str, **more: object) -> Mutant:
    return Mutant(id_, what, ((TASKS, OPTIONS, options),), **more)  # type: ignore[arg-type]


def _told() -> tuple[tuple[str, str, str], ...]:
    """The helper gets the task as well."""
    return ((TASKS, "def ship(payload: dict[str, Any]) -> None:", "def ship(payload: dict[str, Any], task: Task) -> None:"),
            (TASKS, "        ship(payload)\n", "        ship(payload, task)\n"))  # fmt: skip


READS = (
    (DB, "CREATE TABLE shipments", "INSERT INTO orders VALUES (8, '1 Quay Street');\nCREATE TABLE shipments"),
    (TASKS, "def ship(payload: dict[str, Any]) -> None:\n", """def look_up(order_id: int) -> None:
    with db.transaction() as connection:
        if connection.execute("SELECT 1 FROM orders WHERE id = ?", (order_id,)).fetchone() is None:
            raise InvalidOrder(f"no order {order_id}")


def ship(payload: dict[str, Any]) -> None:
"""),
    (TASKS, "    order_id, address = read(payload)\n", "    order_id, address = read(payload)\n    look_up(order_id)\n"),
)  # fmt: skip

MUTANTS = [
    Mutant("A01", "the lock that keeps two apart stays when its holder is killed",
           ((TASKS, DECORATOR, f'{DECORATOR}@huey.lock_task("book-shipment")\n'),), quick=True,
           source="https://github.com/coleifer/huey/issues/308"),
    Mutant("A02", "a lock for each order, in the handler",
           ((TASKS, "        ship(payload)\n", '        with huey.lock_task(f"shipment-{order_id}"):\n            ship(payload)\n'),),
           source="https://github.com/coleifer/huey/issues/538"),
    _key("B01", "the key is the task's id", 'f"shipment-{task.id}"', *_told()),
    _key("B02", "the key counts the attempts", 'f"shipment-{order_id}-{task.retries}"', *_told(), quick=True),
    _key("B03", "the key is random", "str(uuid.uuid4())", _importing("uuid")),
    _key("B04", "the key has the day in it", 'f"shipment-{order_id}-{datetime.date.today()}"', _importing("datetime")),
    _key("B05", "one key for all", '"shipment"'),
    _key("B06", "the key is the address", 'f"shipment-{address}"'),
    _key("B07", "the key is a hash of this interpreter", 'f"shipment-{hash((order_id, address))}"'),
    _key("B08", "no key", "None"),
    Mutant("C01", "marked before it is booked", ((TASKS, BOOK + MARK, MARK + BOOK),)),
    Mutant("C02", "nothing remembers that it was booked", ((TASKS, CHECK, ""),)),
    Mutant("C03", "looked up by address",
           ((TASKS, "is_booked(order_id: int)", "is_booked(address: str)"), (TASKS, "if is_booked(order_id)", "if is_booked(address)"),
            (TASKS, SELECT, '"SELECT 1 FROM shipments WHERE address = ?", (address,)'))),
    Mutant("C04", "marked whether or not it was booked",
           ((TASKS, BOOK + MARK, f"    try:\n    {BOOK}    finally:\n    {MARK}"),)),
    Mutant("C05", "the table takes two rows of one order",
           ((DB, "order_id INTEGER NOT NULL UNIQUE", "order_id INTEGER NOT NULL"),)),
    Mutant("C06", "forgets after an hour",
           ((DB, "UNIQUE, address TEXT NOT NULL)", "UNIQUE, address TEXT NOT NULL, at TEXT DEFAULT CURRENT_TIMESTAMP)"),
            (TASKS, "INSERT INTO shipments VALUES", "INSERT INTO shipments (order_id, address) VALUES"),
            (TASKS, "WHERE order_id = ?", "WHERE order_id = ? AND at > datetime('now', '-1 hour')"))),
    Mutant("C07", "claims the order and never gives the claim back",
           ((TASKS, f"{CHECK}{BOOK}{MARK}", f"""    with db.transaction() as connection:
        claimed = connection.execute({INSERT}).rowcount
    if not claimed:
        log.info("shipment already booked order_id=%s", order_id)
        return
{BOOK}"""),)),
    Mutant("C08", "remembers in Huey's own store, before it is done",
           ((TASKS, CHECK, CHECK.replace("is_booked(order_id)", 'not huey.put_if_empty(f"booked-{order_id}", 1)')),)),
    Mutant("C09", "a status that only the living put back",
           ((DB, "UNIQUE, address TEXT NOT NULL)", "UNIQUE, address TEXT NOT NULL, status TEXT)"),
            (TASKS, f"{CHECK}{BOOK}{MARK}", f"""    with db.transaction() as connection:
        row = (order_id, address, "booking")
        if not connection.execute("INSERT INTO shipments VALUES (?, ?, ?) ON CONFLICT DO NOTHING", row).rowcount:
            log.info("shipment already booked order_id=%s", order_id)
            return
    try:
    {BOOK}    except Exception:
        with db.transaction() as connection:
            connection.execute("DELETE FROM shipments WHERE order_id = ?", (order_id,))
        raise
    with db.transaction() as connection:
        connection.execute("UPDATE shipments SET status = 'booked' WHERE order_id = ?", (order_id,))
"""))),
    _options("D01", "retries taken for attempts", OPTIONS.replace("retries=3", "retries=4")),
    Mutant("D02", "a rejected parcel is tried again, as Huey does with every error", ((TASKS, CANCEL, "        raise\n"),),
           quick=True),
    Mutant("D03", "RetryTask uses up no retry",
           ((TASKS, f"{WARN}        raise\n", f"{WARN}        raise RetryTask(delay=10) from error\n"),
            (TASKS, "from huey import CancelExecution", "from huey import CancelExecution, RetryTask"))),
    _options("D04", "no backoff", "retries=3, retry_delay=10, context=True"),
    _options("D05", "no delay", "retries=3, context=True"),
    _options("D06", "minutes for seconds", OPTIONS.replace("retry_delay=10", "retry_delay=600")),
    _options("D07", "a factor of one", OPTIONS.replace("retry_backoff=3", "retry_backoff=1")),
    _options("D08", "no retries, as is the default", "context=True"),
    Mutant("D09", "an outage cancels the job",
           ((TASKS, f"{LAST}{WARN}        raise\n", f"        give_up(payload, error)\n{CANCEL}"),)),
    Mutant("D10", "CancelExecution without retry=False is tried again", ((TASKS, "CancelExecution(retry=False)", "CancelExecution()"),)),
    Mutant("D11", "a loop of its own within Huey's",
           ((TASKS, BOOK, f"""    for attempt in range(3):
        try:
        {BOOK}            break
        except carrier.Unavailable:
            if attempt == 2:
                raise
            time.sleep(1)
"""), _importing("time"))),
    Mutant("E01", "no dead letter after the last attempt", ((TASKS, LAST, LAST.replace("            give_up(payload, error)\n", "")),)),
    Mutant("E02", "a dead letter at the first error", ((TASKS, LAST, "        give_up(payload, error)\n"),)),
    Mutant("E03", "published for a new order only",
           ((ORDERS, "        connection.execute(", "        new = connection.execute("),
            (ORDERS, "(order_id, address))\n", "(order_id, address)).rowcount\n"),
            (ORDERS, PUBLISH, f"    if new:\n    {PUBLISH}"))),
    Mutant("E04", "a rejected parcel is forgotten",
           ((TASKS, f"        give_up(payload, error)\n{CANCEL}", CANCEL),)),
    Mutant("E05", "a timeout of the carrier is in no list",
           ((TASKS, "except (carrier.Unavailable, TimeoutError)", "except carrier.Unavailable"),)),
    Mutant("E07", "published before the order is committed",
           (*READS, (ORDERS, PUBLISH, f"    {PUBLISH}")), source="https://github.com/saleor/saleor/issues/5457"),
    _options("E06", "a message expires while the workers are busy", f"{OPTIONS}, expires=30",
             source="https://github.com/coleifer/huey/issues/559"),
    Mutant("F01", "an error becomes a result",
           ((TASKS, BOOK, f"""    try:
    {BOOK}    except Exception as error:
        log.error("shipment failed order_id=%s reason=%r", order_id, error)
        return
"""),)),
    Mutant("F02", "the log does not say why",
           ((TASKS, 'retried order_id=%s reason=%r", order_id, error', 'retried order_id=%s", order_id'),)),
    Mutant("F03", "success leaves no record", ((TASKS, DONE, ""),)),
    Mutant("F04", "success is logged before it is one", ((TASKS, BOOK + MARK + DONE, DONE + BOOK + MARK),)),
    Mutant("F05", "the log does not say which order", ((TASKS, '"shipment booked order_id=%s", order_id', '"shipment booked"'),)),
    Mutant("F06", "says that it will be retried when it will not", ((TASKS, LAST + WARN, WARN + LAST),)),
    Mutant("F07", "what was given up is not logged", ((TASKS, GIVEN_UP, ""),)),
    Mutant("G01", "any number is an order", ((TASKS, "or order_id < 1 ", ""),)),
    Mutant("G02", "goes before others", ((TASKS, OPTIONS, f"{OPTIONS}, priority=10"),),
           keeps="a priority changes the order of different jobs, and nothing about one"),
]  # fmt: skip

BODY = f"{CHECK}{BOOK}{MARK}"
HANDLER_ENDS = f"{LAST}{WARN}        raise\n"
VARIANTS = [
    Variant("one-transaction", "booked inside of the transaction that marks it", quick=True, edits=(
        (TASKS, BODY, f'''    with db.transaction() as connection:
        connection.execute("BEGIN IMMEDIATE")
        if not connection.execute({INSERT}).rowcount:
            log.info("shipment already booked order_id=%s", order_id)
            return
    {BOOK}'''),
    )),
    Variant("error-signal", "the dead letter is written by a receiver of SIGNAL_ERROR at the last attempt", edits=(
        (TASKS, HANDLER_ENDS, f"        if task.retries:\n    {WARN}        raise\n"),
        (TASKS, DECORATOR, f'''@huey.signal(SIGNAL_ERROR)
def on_failure(signal: str, task: Task, error: Exception) -> None:
    if not task.retries:
        give_up(task.args[0], error)


{DECORATOR}'''),
        (TASKS, "from huey.api import Task\n", "from huey.api import Task\nfrom huey.signals import SIGNAL_ERROR\n"),
    )),
    Variant("on-error", "the dead letter is a task of its own, which Huey publishes after the last attempt", edits=(
        (QUEUE, 'SqliteHuey("depot", ', 'SqliteHuey("depot", store_intermediate_errors=False, '),
        (TASKS, HANDLER_ENDS, f"        if task.retries:\n    {WARN}        raise\n"),
        (TASKS, DECORATOR, f'''@huey.task()
def keep(payload: dict[str, Any], error: Exception) -> None:
    give_up(payload, error)


{DECORATOR}'''),
        (ORDERS, PUBLISH, '''    payload = {"order_id": order_id, "address": address}
    tasks.huey.enqueue(tasks.book_shipment.s(payload).error(tasks.keep, payload))
'''),
        (TASKS, CANCEL, "        raise CancelExecution(retry=False) from error\n"),
    )),
    Variant("lock-with-ttl", "a lock in Redis that a crash leaves to expire", edits=(
        (QUEUE, "from huey import SqliteHuey", "from huey import RedisHuey"),
        (QUEUE, 'SqliteHuey("depot", filename=os.environ.get("DEPOT_QUEUE", "queue.db"))',
         'RedisHuey("depot", url=os.environ.get("DEPOT_REDIS", "redis://localhost:6379/0"))'),
        (TASKS, "        ship(payload)\n", '        with huey.lock_task(f"shipment-{order_id}", ttl=60):\n            ship(payload)\n'),
    )),
    Variant("flushes-locks", "a lock for all, which a worker that starts takes away", edits=(
        (TASKS, DECORATOR, f'''@huey.on_startup()
def free_locks() -> None:
    huey.flush_locks()


{DECORATOR}@huey.lock_task("book-shipment")
'''),
    )),
    Variant("own-loop", "no retries of Huey's: a loop with its own waits", edits=(
        (TASKS, DECORATOR, f'''def ship_patiently(payload: dict[str, Any]) -> None:
    for wait in (10, 30, 90):
        try:
            ship(payload)
            return
        except (carrier.Unavailable, TimeoutError) as error:
            log.warning("shipment will be retried order_id=%s reason=%r", payload["order_id"], error)
            time.sleep(wait)
    ship(payload)


@huey.task()
'''),
        (TASKS, "payload: dict[str, Any], task: Task) -> None:", "payload: dict[str, Any]) -> None:"),
        (TASKS, "from huey.api import Task\n", ""),
        _importing("time"),
        (TASKS, "    try:\n        ship(payload)\n", "    try:\n        ship_patiently(payload)\n"),
        (TASKS, HANDLER_ENDS, "        give_up(payload, error)\n        raise\n"),
    )),
    Variant("decorated", "a decorator of its own catches, and returns what was cancelled", edits=(
        (TASKS, DECORATOR, f'''def guarded(function: Any) -> Any:
    """Gives up by itself: Huey sees a success."""

    @functools.wraps(function)
    def inner(payload: dict[str, Any], **kwargs: Any) -> Any:
        try:
            return function(payload, **kwargs)
        except CancelExecution:
            return None

    return inner


{DECORATOR}@guarded
'''),
        _importing("functools"),
    )),
    Variant("printed", "print instead of logging, fields as JSON", edits=(
        (TASKS, "log = logging.getLogger(__name__)\n", '''def say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)
'''),
        (TASKS, "import logging\n", ""),
        (TASKS, WARN, '        say("retry", order_id=order_id, reason=repr(error))\n'),
        (TASKS, 'log.info("shipment started order_id=%s", order_id)', 'say("started", order_id=order_id)'),
        (TASKS, 'log.info("shipment already booked order_id=%s", order_id)', 'say("already", order_id=order_id)'),
        (TASKS, DONE, '    say("booked", order_id=order_id)\n'),
        (TASKS, GIVEN_UP, '    say("given up", order_id=payload.get("order_id"), reason=repr(error))\n'),
    )),
    Variant("looks-up", "reads the order that the application committed before it published", edits=READS),
    Variant("at-least-once", "a carrier without keys: a crash may book twice, and the spec says so", edits=(
        ("depot/carrier.py", "address: str, *, idempotency_key: str)", "address: str)"),
        (TASKS, f", idempotency_key={KEY}", ""),
        (SPEC, """    key_arg: idempotency_key
    window: 24h
    guarantee: keyed
""", """    guarantee: at_least_once
    reason: the carrier has no keys, and the depot bundles what is booked twice
"""),
    )),
]  # fmt: skip
