"""One more way to be right, and one thing that goes wrong quietly."""

JOB = "submit-work-order"
SPEC = ".skillrun/jobs/submit-work-order.yaml"

BOOK = '''"""The order book: a unit of work over one order, with its row locked."""

import time
from typing import Callable, TypeVar

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import DBAPIError

from zahnlabor import clock, config
from zahnlabor.errors import NoSuchOrder, NotReleased, TooManyStarts, TooOld
from zahnlabor.tables import dead_letters, engine, mill_jobs, work_orders

T = TypeVar("T")


class OrderBook:
    """What is done stands in mill_jobs, one row an order; work_orders.status follows it in the same transaction."""

    def __init__(self, conn: Connection, order_id: int):
        self.conn, self.order_id = conn, order_id
        self.order: Row | None = conn.execute(
            select(work_orders).where(work_orders.c.id == order_id).with_for_update()
        ).one_or_none()

    @property
    def submitted(self) -> bool:
        found = select(mill_jobs.c.number).where(mill_jobs.c.order_id == self.order_id)
        return self.conn.execute(found).one_or_none() is not None

    def write(self, **values) -> None:
        self.conn.execute(update(work_orders).where(work_orders.c.id == self.order_id).values(values))

    def pardon(self) -> None:
        self.conn.execute(delete(dead_letters).where(dead_letters.c.key == key_of(self.order_id)))


def in_transaction(work: Callable[[Connection], T]) -> T:
    with engine().begin() as conn:
        return work(conn)


def come_what_may(work: Callable[[Connection], T]) -> T:
    """The mill has spoken already; a database that stumbles gets two more chances."""
    for pause in (0.1, 0.5):
        try:
            return in_transaction(work)
        except DBAPIError:
            time.sleep(pause)
    return in_transaction(work)


def key_of(order_id: int) -> str:
    return f"order-{order_id}"


def mark_released(order_id: int) -> bool:
    def work(conn):
        book = OrderBook(conn, order_id)
        if book.order is None:
            raise NoSuchOrder(f"order {order_id}")
        if book.order.status != "draft":
            return False
        now = clock.now()
        book.write(status="released", released_at=now, due_at=now)
        return True

    return in_transaction(work)


def mark_sent(order_id: int) -> None:
    def work(conn):
        book = OrderBook(conn, order_id)
        if book.order is not None and book.order.status == "released":
            book.write(due_at=clock.now() + config.GRACE)

    in_transaction(work)


def overdue() -> list[int]:
    late = select(work_orders.c.id).where(work_orders.c.status == "released", work_orders.c.due_at <= clock.now())
    return in_transaction(lambda conn: list(conn.scalars(late.order_by(work_orders.c.due_at, work_orders.c.id))))


def begin(order_id: int) -> Row | None:
    """The order, its start counted. None: nothing is left to do."""
    now = clock.now()

    def work(conn):
        book = OrderBook(conn, order_id)
        if book.order is None:
            raise NoSuchOrder(f"order {order_id}")
        if book.order.status == "draft":
            raise NotReleased(f"order {order_id} is a draft")
        if book.order.status == "failed" or book.submitted:
            return None
        book.write(starts=book.order.starts + 1, due_at=now + config.GRACE)
        return OrderBook(conn, order_id).order

    order = in_transaction(work)
    if order is None:
        return None
    if order.starts > config.MAX_STARTS:
        raise TooManyStarts(f"{order.starts - 1} starts without an end")
    if order.released_at < now - config.DEADLINE:
        raise TooOld(f"released {(now - order.released_at) // config.DAY} days ago")
    return order


def settle(order_id: int, number: str) -> bool:
    """False: somebody else has written it down."""

    def work(conn):
        book = OrderBook(conn, order_id)
        if book.submitted:
            return False
        conn.execute(insert(mill_jobs).values(order_id=order_id, number=number, submitted_at=clock.now()))
        book.write(status="milling", mill_job=number, due_at=None)
        book.pardon()
        return True

    return come_what_may(work)


def bury(key: str, actor: str, message: dict, job_id: str, reason: str, order_id: int | None) -> bool:
    """False: there was an end before this one."""

    def work(conn):
        if order_id is not None:
            book = OrderBook(conn, order_id)
            if book.order is not None and (book.submitted or book.order.status == "failed"):
                return False
            if book.order is not None and book.order.status == "released":
                book.write(status="failed", due_at=None)
        if conn.scalar(select(dead_letters.c.key).where(dead_letters.c.key == key)):
            return False
        conn.execute(
            insert(dead_letters).values(
                key=key, actor=actor, message=message, job_id=job_id, reason=reason[:200], buried_at=clock.now()
            )
        )
        return True

    return come_what_may(work)
'''

JSONLOG = '''"""What every log line knows about the message at hand, as JSON."""

import json
import logging
import sys
from contextvars import ContextVar

job_id: ContextVar[str] = ContextVar("job_id", default="-")
attempt: ContextVar[int] = ContextVar("attempt", default=0)

_plain = logging.getLogRecordFactory()
FIELDS = ("job", "key", "outcome", "reason", "mill_job", "starts")


def _record(*args, **kwargs):
    record = _plain(*args, **kwargs)
    record.job_id, record.attempt = job_id.get(), attempt.get()
    return record


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
            "job_id": record.job_id,
            "attempt": record.attempt,
        }
        line |= {name: vars(record)[name] for name in FIELDS if name in vars(record)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure() -> None:
    if logging.getLogRecordFactory() is not _record:
        logging.setLogRecordFactory(_record)
    root = logging.getLogger("zahnlabor")
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonLines())
        root.addHandler(handler)
        root.setLevel(logging.INFO)
'''

VARIANTS = [
    dict(
        id="ok-orderbook",
        kind="correct",
        job=JOB,
        what="What is done stands in a table of its own, mill_jobs, one row an order, and not in the status; a unit of work"
        " with the order's row locked (BEGIN IMMEDIATE on SQLite) instead of conditional updates; the log is JSON by extra=.",
        edits=[
            ("zahnlabor/orders.py", "", BOOK),
            ("zahnlabor/context.py", "", JSONLOG),
            (
                "zahnlabor/tables.py",
                "dead_letters = Table(",
                '''mill_jobs = Table(
    "mill_jobs",
    metadata,
    Column("order_id", Integer, ForeignKey("work_orders.id"), primary_key=True),
    Column("number", String(40), nullable=False),
    Column("submitted_at", Integer, nullable=False),
)

dead_letters = Table(''',
            ),
            (
                "zahnlabor/tables.py",
                "from sqlalchemy import Column, Engine, Integer, JSON, MetaData, String, Table, create_engine, insert, select",
                "from sqlalchemy import (\n    JSON,\n    Column,\n    Engine,\n    ForeignKey,\n    Integer,\n    MetaData,\n    String,\n"
                "    Table,\n    create_engine,\n    event,\n    insert,\n    select,\n)",
            ),
            (
                "zahnlabor/tables.py",
                '''    options = {"connect_args": {"timeout": 20}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    return create_engine(url, hide_parameters=True, **options)
''',
                '''    if not url.startswith("sqlite"):
        return create_engine(url, hide_parameters=True, pool_pre_ping=True)
    made = create_engine(url, hide_parameters=True, connect_args={"timeout": 20})

    # FOR UPDATE means nothing to SQLite: there a transaction has the file to itself from its start.
    @event.listens_for(made, "connect")
    def _no_hidden_begin(dbapi, _):
        dbapi.isolation_level = None

    @event.listens_for(made, "begin")
    def _begin(conn):
        conn.exec_driver_sql("BEGIN IMMEDIATE")

    return made
''',
            ),
            (
                "zahnlabor/milling.py",
                '''        logger.info("submit_work_order key=%s outcome=nothing_to_do", key)''',
                '''        logger.info("nothing to do", extra={"job": "submit_work_order", "key": key, "outcome": "nothing_to_do"})''',
            ),
            (
                "zahnlabor/milling.py",
                '''    logger.info("submit_work_order key=%s outcome=started starts=%d", key, order.starts)''',
                '''    about = {"job": "submit_work_order", "key": key}
    logger.info("asking the mill", extra={**about, "outcome": "started", "starts": order.starts})''',
            ),
            (
                "zahnlabor/milling.py",
                '''    logger.info("submit_work_order key=%s outcome=%s mill_job=%s", key, "milling" if first else "known", number)''',
                '''    logger.info("the mill has it", extra={**about, "outcome": "milling" if first else "known", "mill_job": number})''',
            ),
            (
                "zahnlabor/middleware.py",
                '''        about = f"{message.actor_name} key={key}"
''',
                '''        about = {"job": message.actor_name, "key": key, "reason": type(exception).__name__}
''',
            ),
            (
                "zahnlabor/middleware.py",
                '''            logger.warning("%s outcome=retry reason=%s", about, type(exception).__name__)''',
                '''            logger.warning("will be tried again", extra={**about, "outcome": "retry"})''',
            ),
            (
                "zahnlabor/middleware.py",
                '''        logger.error("%s outcome=%s reason=%s", about, "dead" if fresh else "over", type(exception).__name__)''',
                '''        logger.error("given up", extra={**about, "outcome": "dead" if fresh else "over"})''',
            ),
            (
                "README.md",
                "What counts is the row in `work_orders`: `released` is to be done,\n  `milling` and `failed` are not.",
                "What counts is the row in `mill_jobs`: with it, the order is\n  submitted, and `work_orders.status` says `milling`.",
            ),
            (SPEC, "dedupe: {store: table work_orders (status)}", "dedupe: {store: table mill_jobs}"),
            (
                SPEC,
                "    orders: select id, status, mill_job from work_orders order by id\n",
                "    orders: select id, status, mill_job from work_orders order by id\n"
                "    mill: select order_id, number from mill_jobs order by order_id\n",
            ),
        ],
    ),
    dict(
        id="m-two-burials",
        kind="mistake",
        job=JOB,
        what="bury() sets the order to failed in one transaction and writes the dead letter in a second one. Promise:"
        " dead_letter (table dead_letters after the last try), and worker (a death loses nothing). The mill refuses the order"
        " (or six tries are used up); the status is committed; the worker is killed, or the insert fails once with a passing"
        " error of the store. Redelivered, or tried again by insistent(), the order is failed already: nothing to do. It is"
        " failed for ever, no sweep takes it, and no dead letter says so.",
        edits=[
            (
                "zahnlabor/orders.py",
                '''    try:
        with engine().begin() as conn:
            if order_id is not None:
                failed = conn.execute(
                    update(work_orders)
                    .where(orders.id == order_id, orders.status == "released")
                    .values(status="failed", due_at=None)
                )
                status = conn.scalar(select(orders.status).where(orders.id == order_id))
                if failed.rowcount == 0 and status in ("milling", "failed"):
                    return False
            conn.execute(insert(dead_letters).values(letter))
''',
                '''    if order_id is not None and not fail(order_id):
        return False
    try:
        with engine().begin() as conn:
            conn.execute(insert(dead_letters).values(letter))
''',
            ),
            (
                "zahnlabor/orders.py",
                '''@insistent
def bury(''',
                '''def fail(order_id: int) -> bool:
    """False: the order is milling, or has failed before."""
    with engine().begin() as conn:
        failed = conn.execute(
            update(work_orders)
            .where(orders.id == order_id, orders.status == "released")
            .values(status="failed", due_at=None)
        )
        status = conn.scalar(select(orders.status).where(orders.id == order_id))
    return failed.rowcount == 1 or status not in ("milling", "failed")


@insistent
def bury(''',
            ),
        ],
    ),
]
