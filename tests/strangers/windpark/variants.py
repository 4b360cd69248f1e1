"""Versions of base: edits are (path, old text, new text); an empty old text writes the file new."""

OK_ATTEMPTS = '''"""What may happen to a curtailment order. Who works on it is told by the table attempts: the
highest number has the order until it is closed or its time is up."""
import time
from dataclasses import dataclass

from sqlalchemy import and_, delete, exists, func, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from windpark.tables import acknowledgements, attempts, dead_orders, engine, orders

MAX_ATTEMPTS = 6
# Longer than the operator's client can wait for an answer (10 s and 20 s).
LEASE_SECONDS = 120
# The operator knows an Idempotency-Key for 72 hours; we stop well before.
KEY_IS_SAFE_FOR = 48 * 3600


@dataclass(frozen=True)
class Claim:
    order_id: int
    attempt: int
    park: str
    limit_kw: int
    valid_from: int
    valid_to: int

    @property
    def key(self) -> str:
        return f"setpoint-{self.order_id}"


@dataclass(frozen=True)
class Buried:
    order_id: int
    attempts: int
    reason: str


def now() -> int:
    return int(time.time())


def _blocked(at: int):
    """An attempt that runs, or whose wait is not over."""
    return exists().where(attempts.c.order_id == orders.c.id, attempts.c.next_at > at)


def due_ids(limit: int = 50) -> list[int]:
    at = now()
    query = (
        select(orders.c.id)
        .where(orders.c.state == "pending", orders.c.send_at <= at, ~_blocked(at))
        .order_by(orders.c.send_at, orders.c.id)
        .limit(limit)
    )
    with engine().begin() as conn:
        return list(conn.scalars(query))


def claim(order_id: int) -> Claim | Buried | None:
    """Open the next attempt. None if the order is not to be had, Buried if it has had its tries."""
    at = now()
    with engine().begin() as conn:
        order = conn.execute(
            select(orders).where(
                orders.c.id == order_id, orders.c.state == "pending", orders.c.send_at <= at, ~_blocked(at)
            )
        ).one_or_none()
        if order is None:
            return None
        made, since = conn.execute(
            select(func.count(), func.min(attempts.c.opened_at)).where(attempts.c.order_id == order_id)
        ).one()
        if made >= MAX_ATTEMPTS:
            return _end(conn, order_id, made, "attempts used up, the last came to no end")
        if since is not None and at - since > KEY_IS_SAFE_FOR:
            return _end(conn, order_id, made, "first tried too long ago, the operator may have forgotten the key")
        opened = conn.execute(
            sqlite_insert(attempts)
            .values(order_id=order_id, number=made + 1, opened_at=at, next_at=at + LEASE_SECONDS)
            .on_conflict_do_nothing()
        )
        if opened.rowcount != 1:
            return None
    return Claim(order_id, made + 1, order.park, order.limit_kw, order.valid_from, order.valid_to)


def acknowledge(claim: Claim, reference: str) -> bool:
    """Write down the operator's answer; False if it was known. It stands whichever attempt is the
    latest by now, and outweighs a burial."""
    with engine().begin() as conn:
        first = conn.execute(
            sqlite_insert(acknowledgements)
            .values(order_id=claim.order_id, reference=reference, received_at=now())
            .on_conflict_do_nothing()
        )
        if first.rowcount != 1:
            return False
        conn.execute(delete(dead_orders).where(dead_orders.c.order_id == claim.order_id))
        conn.execute(
            update(orders)
            .where(orders.c.id == claim.order_id, orders.c.state.in_(("pending", "dead")))
            .values(state="acknowledged")
        )
    return True


def put_off(claim: Claim, seconds: int) -> bool:
    """Try again later; False if a later attempt has taken over."""
    with engine().begin() as conn:
        if not _ours(conn, claim):
            return False
        conn.execute(
            update(attempts)
            .where(attempts.c.order_id == claim.order_id, attempts.c.number == claim.attempt)
            .values(next_at=now() + seconds)
        )
    return True


def bury(claim: Claim, reason: str) -> bool:
    """Give up; False if a later attempt has taken over."""
    with engine().begin() as conn:
        if not _ours(conn, claim):
            return False
        _end(conn, claim.order_id, claim.attempt, reason)
    return True


def withdraw(order_id: int) -> bool:
    """The desk takes an order back; False once it has been tried, for it may be with the operator."""
    with engine().begin() as conn:
        done = conn.execute(
            update(orders)
            .where(
                orders.c.id == order_id,
                orders.c.state == "pending",
                ~exists().where(attempts.c.order_id == order_id),
            )
            .values(state="withdrawn")
        )
    return done.rowcount == 1


def _ours(conn, claim: Claim) -> bool:
    state, latest = conn.execute(
        select(orders.c.state, func.max(attempts.c.number))
        .join(attempts, attempts.c.order_id == orders.c.id)
        .where(orders.c.id == claim.order_id)
        .group_by(orders.c.state)
    ).one()
    return state == "pending" and latest == claim.attempt


def _end(conn, order_id: int, made: int, reason: str) -> Buried:
    conn.execute(insert(dead_orders).values(order_id=order_id, reason=reason[:200], attempts=made, buried_at=now()))
    conn.execute(update(orders).where(orders.c.id == order_id).values(state="dead"))
    return Buried(order_id, made, reason)
'''.replace("import and_, delete, exists, func, insert, or_, select, update", "import delete, exists, func, insert, select, update")

VARIANTS = [
    {
        "id": "ok-attempts", "kind": "correct", "job": "send-setpoints",
        "what": "No lease columns: each try is a row in attempts (primary key order and number) that holds the order until next_at; the acknowledgement's row decides by its primary key; a logfmt line is the whole message",
        "edits": [
            ("windpark/orders.py", "", OK_ATTEMPTS),
            ("windpark/tables.py", '''    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("first_tried_at", Integer),
    Column("lease", String(32)),
    Column("leased_until", Integer, nullable=False, server_default="0"),
)
''', ''')

attempts = Table(
    "attempts",
    metadata,
    Column("order_id", Integer, ForeignKey("curtailment_orders.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("opened_at", Integer, nullable=False),
    Column("next_at", Integer, nullable=False),
)
'''),
            ("windpark/jsonlog.py", '''        self._logger.log(level, event, extra={"fields": {**self._fields, **fields}}, exc_info=exc_info)
''', '''        fields = {**self._fields, **fields}
        line = " ".join(f"{name}={json.dumps(value)}" for name, value in {"event": event, **fields}.items())
        self._logger.log(level, line, extra={"fields": fields}, exc_info=exc_info)
'''),
            ("windpark/jsonlog.py", '''        line = {
            "ts": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = record.exc_info[0].__name__
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
''', '''        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        line = f"ts={at} level={record.levelname.lower()} logger={record.name} {record.getMessage()}"
        if record.exc_info:
            line += f" trace={json.dumps(self.formatException(record.exc_info))}"
        return line
'''),
            ("windpark/jsonlog.py", '"""One line of JSON per event."""', '"""One line of logfmt per event."""'),
            ("README.md", "Logs are JSON lines:", "Logs are logfmt:"),
            (".skillrun/jobs/send-setpoints.yaml", "guarded_by: curtailment_orders.state with a lease, the primary key of acknowledgements", "guarded_by: curtailment_orders.state, the primary keys of attempts and acknowledgements"),
        ],
    },
    {
        "id": "m-count-failures", "kind": "mistake", "job": "send-setpoints",
        "what": "Attempts are counted where one has failed (put_off), no more where one begins (claim). Breaks worker.deliveries and the dead letter: a set-point whose sending kills the scheduler (out of memory, deploy, watchdog) never gets to put_off; its lease runs out, the next poll claims it as attempt 1 again, is killed, and so on for ever; it is never in dead_orders",
        "edits": [
            ("windpark/orders.py", "                attempts=row.attempts + 1,\n", ""),
            ("windpark/orders.py", '''        done = conn.execute(update(orders).where(*_ours(claim)).values(lease=None, leased_until=now() + seconds))
''', '''        done = conn.execute(
            update(orders)
            .where(*_ours(claim))
            .values(attempts=claim.attempt, lease=None, leased_until=now() + seconds)
        )
'''),
            ("windpark/orders.py", 'orders.c.state == "pending", orders.c.attempts == 0)', 'orders.c.state == "pending", orders.c.first_tried_at.is_(None))'),
        ],
    },
    {
        "id": "m-bury-in-two", "kind": "mistake", "job": "send-setpoints",
        "what": "bury() sets the state with a guarded UPDATE in one transaction and inserts into dead_orders in the next. Breaks dead_letter: a refusal (or the sixth failure), state = dead is committed, the scheduler is killed or the database fails before the insert commits; no poll looks at a dead order again, so it is given up without a row in dead_orders and the control room never calls",
        "edits": [
            ("windpark/orders.py", '''        if conn.scalar(select(orders.c.id).where(*_ours(claim))) is None:
            return False
        _bury(conn, claim.order_id, claim.attempt, reason)
    return True
''', '''        done = conn.execute(
            update(orders).where(*_ours(claim)).values(state="dead", lease=None, leased_until=0)
        )
    if done.rowcount != 1:
        return False
    _report(claim.order_id, claim.attempt, reason)
    return True
'''),
            ("windpark/orders.py", '''def _bury(conn, order_id: int''', '''def _report(order_id: int, attempts: int, reason: str) -> None:
    with engine().begin() as conn:
        conn.execute(
            insert(dead_orders).values(order_id=order_id, reason=reason[:200], attempts=attempts, buried_at=now())
        )


def _bury(conn, order_id: int'''),
        ],
    },
    {
        "id": "m-stale-list", "kind": "mistake", "job": "send-setpoints",
        "what": "claim() no longer asks for state = pending, since due_ids() has. Breaks the invariant 'only while it is pending; once it is acknowledged, dead or withdrawn no poll takes it': a poll lists orders 1 and 2, and while it waits for the operator's answer to 1 the desk withdraws 2 (never tried, so it may); the poll claims 2 all the same and the operator gets a withdrawn curtailment. Also an order that another scheduler has refused and buried meanwhile is sent again",
        "edits": [
            ("windpark/orders.py", '''    free = (orders.c.id == order_id, orders.c.state == "pending", orders.c.send_at <= at, orders.c.leased_until <= at)
''', '''    free = (orders.c.id == order_id, orders.c.leased_until <= at)
'''),
        ],
    },
]
