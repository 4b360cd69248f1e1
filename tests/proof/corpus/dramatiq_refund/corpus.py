"""A refund: the key is a row in a SQLite table; retries are decided by `retry_when`, the dead letter is an actor's."""

from run import Mutant, Variant

DRIVER = "dramatiq"
JOBS, BROKER, DB, GOODS = "returns/jobs.py", "returns/broker.py", "returns/db.py", "returns/goods.py"
SPEC = ".skillrun/jobs/refund.yaml"
KEY = 'f"refund-{return_id}"'
CALL = f"    bank.refund(return_id, cents, idempotency_key={KEY})\n"
MARK = "    mark_refunded(return_id, cents)\n"
CHECK = """    if is_refunded(return_id):
        log.info("refund already made return_id=%s", return_id)
        return
"""
DONE = '    log.info("refund succeeded return_id=%s", return_id)\n'
SELECT = '"SELECT 1 FROM refunds WHERE return_id = ?", (return_id,)'
INSERT = "INSERT INTO refunds VALUES (?, ?) ON CONFLICT DO NOTHING"
WORTH = "isinstance(error, TRANSIENT) and retries < ATTEMPTS - 1"
WHEN = "    retry_when=worth_retrying,\n"
BACKOFF = "    min_backoff=2_000,\n    max_backoff=60_000,\n"
BURY = '    on_retry_exhausted="bury_refund",\n'
SEND = "    jobs.refund.send(return_id=return_id, cents=cents)\n"
REASON = '"will be retried return_id=%s in_ms=%s: %s", message.kwargs.get("return_id"), delay, reason'
ADD = "broker.add_middleware(SayRetries())\n"
CURRENT = (BROKER, ADD, f"{ADD}broker.add_middleware(CurrentMessage())\n")
CURRENT_IMPORT = (BROKER, "RedisBroker\n\n", "RedisBroker\nfrom dramatiq.middleware import CurrentMessage\n\n")
NOW = (JOBS, "import dramatiq\n", "import dramatiq\nfrom dramatiq.middleware import CurrentMessage\n")
MESSAGE = "CurrentMessage.get_current_message()"
HEAD = "import json\n"


def _key(id_: str, what: str, key: str, *more: tuple[str, str, str], **options: object) -> Mutant:
    return Mutant(id_, what, ((JOBS, f"idempotency_key={KEY}", f"idempotency_key={key}"), *more), **options)  # type: ignore[arg-type]


BURIAL = '''

@dramatiq.actor(broker=broker, actor_name="bury_refund", queue_name="refunds")
def bury_refund(message: dict[str, Any], retries: dict[str, int]) -> None:
    """No attempt is left, or none would help: the job is kept for a person."""
    payload, reason = message["kwargs"], message["options"]["traceback"].strip().splitlines()[-1]
    log.error("refund is dead return_id=%s: %s", payload.get("return_id"), reason)
    with db.transaction() as connection:
        row = (json.dumps(payload, sort_keys=True), reason)
        connection.execute("INSERT INTO dead_refunds VALUES (?, ?) ON CONFLICT DO NOTHING", row)
'''
KEEPER = '''

class Bury(dramatiq.Middleware):
    """Keeps what Dramatiq rejects for a person."""

    def before_nack(self, broker: dramatiq.Broker, message: Any) -> None:
        """The dead-letter queue forgets after a week."""
        log.error("refund is dead return_id=%s: %s", message.kwargs.get("return_id"), message._exception)
        with db.transaction() as connection:
            row = (json.dumps(message.kwargs, sort_keys=True), repr(message._exception))
            connection.execute("INSERT INTO dead_refunds VALUES (?, ?) ON CONFLICT DO NOTHING", row)


broker.add_middleware(Bury())
'''
SENDER = """

class SendDead(dramatiq.Middleware):
    def before_nack(self, broker: dramatiq.Broker, message: Any) -> None:
        if message.actor_name == "refund":
            broker.get_actor("bury_refund").send(message.asdict())


broker = Redis"""
SENDING = (
    (JOBS, BURY, ""),
    (
        JOBS,
        'message["kwargs"], message["options"]["traceback"].strip().splitlines()[-1]',
        'message["kwargs"], message["options"].get("traceback", "?").strip().splitlines()[-1]',
    ),
    (JOBS, "message: dict[str, Any], retries: dict[str, int]", "message: dict[str, Any]"),
    (BROKER, ADD, f"{ADD}broker.add_middleware(SendDead())\n"),
)
MUTANTS = [
    Mutant("A01", "a second Retries beside the default one: each failure is retried twice",
           ((BROKER, ADD, f"{ADD}broker.add_middleware(Retries(max_retries=3))\n"),
            (BROKER, "RedisBroker\n\n", "RedisBroker\nfrom dramatiq.middleware import Retries\n\n"))),
    _key("B01", "the key is the message's id", f'f"refund-{{{MESSAGE}.message_id}}"', CURRENT, CURRENT_IMPORT, NOW),
    _key("B02", "the key counts the attempts", f'f"refund-{{return_id}}-{{{MESSAGE}.options.get(\'retries\', 0)}}"',
         CURRENT, CURRENT_IMPORT, NOW, quick=True),
    _key("B03", "the key is random", "str(uuid.uuid4())", (JOBS, HEAD, f"{HEAD}import uuid\n")),
    _key("B04", "the key has the day in it", 'f"refund-{return_id}-{date.today()}"', (JOBS, HEAD, f"{HEAD}from datetime import date\n")),
    _key("B05", "one key for all", '"refund"'),
    _key("B06", "the key is the amount", 'f"refund-{cents}"'),
    _key("B07", "the key is a hash of this interpreter", 'f"refund-{hash((str(return_id), cents))}"'),
    _key("B08", "no key", "None"),
    Mutant("C01", "marked before it is made", ((JOBS, CALL + MARK, MARK + CALL),), quick=True),
    Mutant("C02", "nothing remembers that it was made", ((JOBS, CHECK, ""),)),
    Mutant("C03", "looked up by amount",
           ((JOBS, "is_refunded(return_id: int)", "is_refunded(cents: int)"), (JOBS, "if is_refunded(return_id)", "if is_refunded(cents)"),
            (JOBS, SELECT, '"SELECT 1 FROM refunds WHERE cents = ?", (cents,)'))),
    Mutant("C04", "marked whether or not it was made", ((JOBS, CALL + MARK, f"    try:\n    {CALL}    finally:\n    {MARK}"),)),
    Mutant("C05", "the table takes two rows of one return", ((DB, "return_id INTEGER NOT NULL UNIQUE", "return_id INTEGER NOT NULL"),),
           source="https://github.com/NousResearch/hermes-agent/issues/57832"),
    Mutant("C06", "the second of two at once fails on the marker", ((JOBS, INSERT, "INSERT INTO refunds VALUES (?, ?)"),)),
    Mutant("C07", "forgets after a day, the bank after two",
           ((DB, "UNIQUE, cents INTEGER NOT NULL)", "UNIQUE, cents INTEGER NOT NULL, at TEXT DEFAULT CURRENT_TIMESTAMP)"),
            (JOBS, "INSERT INTO refunds VALUES", "INSERT INTO refunds (return_id, cents) VALUES"),
            (JOBS, "WHERE return_id = ?", "WHERE return_id = ? AND at > datetime('now', '-1 day')"))),
    Mutant("C08", "claims the return and never gives the claim back",
           ((JOBS, f"{CHECK}{CALL}{MARK}", f"""    with db.transaction() as connection:
        claimed = connection.execute("{INSERT}", (return_id, cents)).rowcount
    if not claimed:
        log.info("refund already made return_id=%s", return_id)
        return
{CALL}"""),)),
    Mutant("D01", "retry_when has its say alone: max_retries beside it bounds nothing",
           ((JOBS, WORTH, "isinstance(error, TRANSIENT)"), (JOBS, WHEN, f"    max_retries=3,\n{WHEN}")),
           quick=True, source="https://github.com/Bogdanp/dramatiq/issues/605"),
    Mutant("D02", "every error is retried", ((JOBS, WORTH, "retries < ATTEMPTS - 1"),)),
    Mutant("D03", "the library's default: twenty retries of whatever goes wrong", ((JOBS, WHEN, ""),),
           source="https://github.com/codingjoe/django-pictures/issues/181"),
    Mutant("D04", "retries taken for attempts", ((JOBS, "retries < ATTEMPTS - 1", "retries < ATTEMPTS"),)),
    Mutant("D05", "milliseconds taken for seconds", ((JOBS, BACKOFF, "    min_backoff=2,\n    max_backoff=60,\n"),)),
    Mutant("D06", "the cap makes it flat", ((JOBS, "max_backoff=60_000", "max_backoff=2_000"),)),
    Mutant("D07", "one of the two errors is not retried", ((JOBS, "(bank.Unavailable, TimeoutError)", "(bank.Unavailable,)"),)),
    Mutant("D08", "a flat delay by Retry",
           ((JOBS, CALL, f"""    try:
    {CALL}    except TRANSIENT as error:
        raise dramatiq.Retry(repr(error), delay=2_000) from error
"""), (JOBS, "isinstance(error, TRANSIENT)", "isinstance(error, (*TRANSIENT, dramatiq.Retry))"))),
    Mutant("D09", "the transient error is one that Dramatiq should expect", ((JOBS, WHEN, f"{WHEN}    throws=bank.Unavailable,\n"),)),
    Mutant("D10", "the default delays", ((JOBS, BACKOFF, ""),)),
    Mutant("D11", "no end where the bank is down", ((JOBS, "retries < ATTEMPTS - 1", "retries < 10_000"),)),
    Mutant("E01", "messages older than ten seconds are dropped", ((JOBS, WHEN, f"{WHEN}    max_age=10_000,\n"),)),
    Mutant("E02", "a list of middleware without Retries",
           ((BROKER, 'redis://localhost:6379/0"))', 'redis://localhost:6379/0"), middleware=[Callbacks()])'),
            (BROKER, "RedisBroker\n\n", "RedisBroker\nfrom dramatiq.middleware import Callbacks\n\n"),
            (JOBS, BACKOFF + WHEN + BURY, ""))),
    Mutant("E03", "published for a new return only",
           ((GOODS, "        connection.execute(", "        new = connection.execute("), (GOODS, "(return_id, cents))\n", "(return_id, cents)).rowcount\n"),
            (GOODS, SEND, f"    if new:\n    {SEND}"))),
    Mutant("E04", "the callback's name is wrong: the middleware finds no such actor", ((JOBS, BURY, '    on_retry_exhausted="bury",\n'),)),
    Mutant("E05", "an invalid job leaves no dead letter",
           ((JOBS, "    with db.transaction() as connection:\n        row = (json",
             "    if \"InvalidReturn\" in reason:\n        return\n    with db.transaction() as connection:\n        row = (json"),),
           keeps="the message breaks the payload's schema, ends at once, and its error is in the records"),
    Mutant("E06", "two dead letters of one job", ((DB, "dead_refunds (payload TEXT NOT NULL UNIQUE", "dead_refunds (payload TEXT NOT NULL"),)),
    Mutant("E07", "the dead letter has the whole message, which is another one each time",
           ((JOBS, "row = (json.dumps(payload, sort_keys=True)", "row = (json.dumps(message, sort_keys=True)"),)),
    Mutant("E08", "buried after the first failure", ((JOBS, BURY, '    on_failure="bury_refund",\n'),), quick=True),
    Mutant("E09", "a declined refund is ignored", ((JOBS, CALL, f"    try:\n    {CALL}    except bank.Declined:\n        return\n"),)),
    Mutant("E10", "the burial fails, and nobody buries it: its argument is no JSON",
           ((JOBS, "row = (json.dumps(payload, sort_keys=True), reason)", "row = (json.dumps({**payload, 'log': log}), reason)"),)),
    Mutant("E11", "the dead letter is written once the message is rejected: a death in between leaves none",
           ((JOBS, WHEN + BURY, "    max_retries=3,\n    throws=(bank.Declined, InvalidReturn, TypeError),\n"),
            (JOBS, BURIAL, KEEPER.replace("before_nack", "after_nack")))),
    Mutant("E12", "what is rejected is sent to another actor once it is rejected",
           (*SENDING, (BROKER, "\n\nbroker = Redis", SENDER.replace("before_nack", "after_nack")))),
    Mutant("F01", "an error becomes a result",
           ((JOBS, CALL, f"""    try:
    {CALL}    except Exception as error:
        log.error("refund failed return_id=%s: %r", return_id, error)
        return
"""),), source="stock-screener#49"),
    Mutant("F02", "the application's record does not say why",
           ((BROKER, REASON, '"will be retried return_id=%s in_ms=%s", message.kwargs.get("return_id"), delay'),),
           keeps="Dramatiq's own record of the failure has the message's arguments and the exception"),
    Mutant("F03", "nothing says that there will be another attempt", ((BROKER, ADD, ""),)),
    Mutant("F04", "success leaves no record", ((JOBS, DONE, ""),)),
    Mutant("F05", "success is logged before it is one", ((JOBS, CALL + MARK + DONE, DONE + CALL + MARK),)),
    Mutant("F06", "the record of success does not say of which return", ((JOBS, '"refund succeeded return_id=%s", return_id', '"refund succeeded"'),)),
    Mutant("F07", "also says so when the waiting message leaves the delay queue: before the last attempt, too",
           ((BROKER, "if delay is not None and message", "if message"),)),
    Mutant("G01", "any number is a return",
           ((JOBS, """    if not isinstance(return_id, int) or return_id < 1:
        raise InvalidReturn(f"{return_id!r} is no return")
""", ""),)),
]  # fmt: skip

BODY = f"{CHECK}{CALL}{MARK}"
MARKERS = f'''def is_refunded(return_id: int) -> bool:
    """Whether the money of this return went out."""
    with db.transaction() as connection:
        return connection.execute({SELECT}).fetchone() is not None


def mark_refunded(return_id: int, cents: int) -> None:
    """Records the refund, once."""
    with db.transaction() as connection:
        connection.execute("{INSERT}", (return_id, cents))
'''
VARIANTS = [
    Variant("lease", "a claim with a lease, which a crash leaves to expire", edits=(
        (DB, "UNIQUE, cents INTEGER NOT NULL)", "UNIQUE, cents INTEGER NOT NULL, until REAL, done INTEGER NOT NULL DEFAULT 0)"),
        (JOBS, HEAD, f"{HEAD}import time\n"),
        (JOBS, MARKERS, '''class Busy(Exception):
    """Another delivery is at it, or died at it."""


def claim(return_id: int, cents: int) -> bool:
    """False where it was made. Raises Busy."""
    now = time.time()
    with db.transaction() as connection:
        connection.execute("BEGIN IMMEDIATE")
        row = connection.execute("SELECT until, done FROM refunds WHERE return_id = ?", (return_id,)).fetchone()
        if row and row[1]:
            return False
        if row and row[0] > now:
            raise Busy(f"return {return_id} is being refunded")
        connection.execute("INSERT OR REPLACE INTO refunds VALUES (?, ?, ?, 0)", (return_id, cents, now + 30))
        return True


def mark_refunded(return_id: int) -> None:
    with db.transaction() as connection:
        connection.execute("UPDATE refunds SET done = 1 WHERE return_id = ?", (return_id,))


def release(return_id: int) -> None:
    with db.transaction() as connection:
        connection.execute("DELETE FROM refunds WHERE return_id = ? AND done = 0", (return_id,))
'''),
        (JOBS, "isinstance(error, TRANSIENT)", "isinstance(error, (*TRANSIENT, Busy))"),
        (JOBS, BODY, f'''    if not claim(return_id, cents):
        log.info("refund already made return_id=%s", return_id)
        return
    try:
    {CALL}    except Exception:
        release(return_id)
        raise
    mark_refunded(return_id)
'''),
        (SPEC, "transient: [returns.bank:Unavailable, TimeoutError]", "transient: [returns.bank:Unavailable, TimeoutError, returns.jobs:Busy]"),
    )),
    Variant("one-transaction", "the refund is made inside of the transaction that marks it", quick=True, edits=(
        (JOBS, BODY, f'''    with db.transaction() as connection:
        connection.execute("BEGIN IMMEDIATE")
        if not connection.execute("{INSERT}", (return_id, cents)).rowcount:
            log.info("refund already made return_id=%s", return_id)
            return
    {CALL}'''),
    )),
    Variant("middleware", "throws for what cannot be helped, max_retries, and a middleware that keeps the rejected", edits=(
        (JOBS, WHEN + BURY, "    max_retries=3,\n    throws=(bank.Declined, InvalidReturn, TypeError),\n"),
        (JOBS, BURIAL, KEEPER),
    )),
    Variant("own-retry", "raises Retry with a delay and a jitter of its own", edits=(
        (JOBS, HEAD, f"{HEAD}import random\n"), CURRENT, CURRENT_IMPORT, NOW,
        (JOBS, "isinstance(error, TRANSIENT)", "isinstance(error, dramatiq.Retry)"),
        (JOBS, CALL, f'''    try:
    {CALL}    except TRANSIENT as error:
        wait = min(60_000, 2_000 * 2 ** {MESSAGE}.options.get("retries", 0))
        raise dramatiq.Retry(repr(error), delay=random.randint(wait // 2, wait)) from error
'''),
    )),
    Variant("class", "a GenericActor", edits=(
        (JOBS, f'''@dramatiq.actor(
    broker=broker,
    actor_name="refund",
    queue_name="refunds",
{BACKOFF}{WHEN}{BURY})
def refund(return_id: int, cents: int) -> None:
    """Refunds one return, once however often the message is delivered."""
''', '''class Refund(dramatiq.GenericActor):
    class Meta:
        broker = broker
        actor_name = "refund"
        queue_name = "refunds"
        min_backoff = 2_000
        max_backoff = 60_000
        retry_when = worth_retrying
        on_retry_exhausted = "bury_refund"

    def perform(self, return_id: int, cents: int) -> None:
        run(return_id, cents)


def run(return_id: int, cents: int) -> None:
'''),
        (GOODS, "jobs.refund.send", "jobs.Refund.send"), (SPEC, "handler: returns.jobs:refund", "handler: returns.jobs:Refund"),
    )),
    Variant("gives-up-itself", "takes a declined refund itself: records it and returns", edits=(
        (JOBS, CALL, f'''    try:
    {CALL}    except bank.Declined as error:
        log.error("refund is dead return_id=%s: %r", return_id, error)
        with db.transaction() as connection:
            row = (json.dumps({{"cents": cents, "return_id": return_id}}, sort_keys=True), repr(error))
            connection.execute("INSERT INTO dead_refunds VALUES (?, ?) ON CONFLICT DO NOTHING", row)
        return
'''),
    )),
    Variant("elsewhere", "the callback is in a module of its own, which the worker imports by name",
            files={"returns/burial.py": '"""What becomes of refunds that cannot be made."""\n\nimport json\nimport logging\n'
                   "from typing import Any\n\nimport dramatiq\n\nfrom returns import db\nfrom returns.broker import broker\n\n"
                   "log = logging.getLogger(__name__)\n" + BURIAL}, edits=((JOBS, BURIAL, ""),)),
    Variant("extra", "records with their fields as extra=", edits=(
        (JOBS, '"refund started return_id=%s", return_id', '"refund started", extra={"return_id": return_id}'),
        (JOBS, '"refund succeeded return_id=%s", return_id', '"refund succeeded", extra={"return_id": return_id}'),
        (JOBS, '"refund already made return_id=%s", return_id', '"refund already made", extra={"return_id": return_id}'),
        (BROKER, REASON, '"will be retried", extra={"return_id": message.kwargs.get("return_id"), "why": reason}'),
    )),
    Variant("sends", "a middleware sends what is rejected to another actor", edits=(*SENDING, (BROKER, "\n\nbroker = Redis", SENDER))),
    Variant("delayed", "the application lets a quarter of an hour pass", edits=(
        (GOODS, SEND, '    jobs.refund.send_with_options(kwargs={"return_id": return_id, "cents": cents}, delay=900_000)\n'),
    )),
    Variant("limiter", "one at a time, by Dramatiq's own limiter in Redis", edits=(
        (JOBS, "from returns import bank", "from dramatiq.errors import RateLimitExceeded\nfrom dramatiq.rate_limits import ConcurrentRateLimiter\n"
               "from dramatiq.rate_limits.backends import RedisBackend\n\nfrom returns import bank"),
        (JOBS, "(bank.Unavailable, TimeoutError)", "(bank.Unavailable, TimeoutError, RateLimitExceeded)\n"
               'LIMITS = RedisBackend(url=os.environ.get("REDIS_URL", "redis://localhost:6379/0"))'),
        (JOBS, HEAD, "import json\n"), (JOBS, "import logging\n", "import logging\nimport os\n"),
        (JOBS, BODY, f'''    with ConcurrentRateLimiter(LIMITS, f"refund-{{return_id}}", limit=1, ttl=30_000).acquire():
        if is_refunded(return_id):
            log.info("refund already made return_id=%s", return_id)
            return
    {CALL}    {MARK}'''),
        (SPEC, '  env: {RETURNS_DB: "{scratch}/returns.db"}', '  services: [redis]\n  env: {RETURNS_DB: "{scratch}/returns.db", REDIS_URL: "{redis}"}'),
    )),
    Variant("queue", "the dead letters are the messages of another actor, for a person to read", edits=(
        (JOBS, 'actor_name="bury_refund", queue_name="refunds"', 'actor_name="bury_refund", queue_name="dead_refunds"'),
        (JOBS, """    with db.transaction() as connection:
        row = (json.dumps(payload, sort_keys=True), reason)
        connection.execute("INSERT INTO dead_refunds VALUES (?, ?) ON CONFLICT DO NOTHING", row)
""", ""), (JOBS, HEAD, ""),
        (SPEC, "{kind: table, where: dead_refunds}", "{kind: queue, where: dead_refunds}"),
        (SPEC, "  dead_letters: select count(*) from dead_refunds\n", ""),
    )),
    Variant("xq", "the dead letters are Dramatiq's own", edits=(
        (JOBS, BURY, ""), (JOBS, BURIAL, ""), (JOBS, HEAD, ""), (JOBS, "from typing import Any\n\n", ""),
        (SPEC, "{kind: table, where: dead_refunds}", "{kind: queue, where: refunds.XQ}"),
        (SPEC, "  dead_letters: select count(*) from dead_refunds\n", ""),
    )),
]  # fmt: skip
