"""Export declarations: a second right version, and three that a good week would have caught."""

import pathlib

_HERE = pathlib.Path(__file__).resolve().parent / "base"
JOB = "relay-outbox"
OUTBOX, TASKS, ORDERS = "spedition/outbox.py", "spedition/tasks.py", "spedition/orders.py"
TESTS = "tests/test_relay.py"


def whole(path):
    return (_HERE / path).read_text()


AHEAD_OUTBOX = '''"""The outbox of declarations.

A claim writes the whole consequence of a failure ahead: the attempt counted, and the time of the next one. So a worker
that dies, a call that fails and a failure that could not be written down leave the same row behind. What can come after a
claim is an end: declared or dead. The number of the attempt is the fence.
"""

import time
from dataclasses import dataclass

from sqlalchemy import select, update

from spedition.db import Order, OutboxRow, transaction

MAX_ATTEMPTS = 6
LEASE_SECONDS = 30
FIRST_WAIT, FACTOR, LONGEST_WAIT = 30, 4, 3600


def now() -> int:
    return int(time.time())


def wait_after(attempt: int) -> int:
    return min(FIRST_WAIT * FACTOR ** (attempt - 1), LONGEST_WAIT)


@dataclass(frozen=True)
class Claim:
    row_id: int
    attempt: int
    declaration_id: str
    document: dict

    @property
    def last(self) -> bool:
        return self.attempt >= MAX_ATTEMPTS


class Outbox:
    """The rows, within one transaction."""

    def __init__(self, session):
        self.session = session

    def change(self, *where, **values) -> bool:
        statement = update(OutboxRow).where(*where).values(**values)
        return self.session.execute(statement, execution_options={"synchronize_session": False}).rowcount == 1

    def at(self, row_id: int) -> OutboxRow | None:
        return self.session.get(OutboxRow, row_id, populate_existing=True)


def due(limit: int) -> list[int]:
    with transaction() as session:
        query = select(OutboxRow.id).where(*_free()).order_by(OutboxRow.next_attempt_at, OutboxRow.id).limit(limit)
        return list(session.scalars(query))


def claim(row_id: int) -> Claim | None:
    with transaction() as session:
        box = Outbox(session)
        row = box.at(row_id)
        if row is None or row.attempts >= MAX_ATTEMPTS:
            return None
        taken = Claim(row.id, row.attempts + 1, row.declaration_id, row.document)
        won = box.change(
            OutboxRow.id == row_id,
            *_free(),
            OutboxRow.attempts == row.attempts,
            attempts=taken.attempt,
            next_attempt_at=now() + max(wait_after(taken.attempt), LEASE_SECONDS),
        )
        return taken if won else None


def settle(claim: Claim, mrn: str) -> bool:
    """Customs have the declaration. That is so whoever holds the row by now, and even if it was given up."""
    with transaction() as session:
        box = Outbox(session)
        where = OutboxRow.id == claim.row_id, OutboxRow.status != "declared"
        if not box.change(*where, status="declared", last_error=None):
            return False
        order_id = session.scalar(select(OutboxRow.order_id).where(OutboxRow.id == claim.row_id))
        session.execute(
            update(Order).where(Order.id == order_id).values(mrn=mrn), execution_options={"synchronize_session": False}
        )
        return True


def postpone(claim: Claim, error: str) -> bool:
    """The wait runs from the failure on; if this cannot be written, it ran from the claim on."""
    with transaction() as session:
        return Outbox(session).change(
            *_held(claim), next_attempt_at=now() + wait_after(claim.attempt), last_error=error
        )


def bury(claim: Claim, error: str) -> bool:
    with transaction() as session:
        return Outbox(session).change(*_held(claim), status="dead", last_error=error)


def bury_exhausted(row_id: int) -> str | None:
    with transaction() as session:
        box = Outbox(session)
        where = OutboxRow.id == row_id, *_free(), OutboxRow.attempts >= MAX_ATTEMPTS
        if box.change(*where, status="dead", last_error="last attempt did not come back"):
            return box.at(row_id).declaration_id
        return None


def revive(row_id: int) -> bool:
    with transaction() as session:
        where = OutboxRow.id == row_id, OutboxRow.status == "dead"
        return Outbox(session).change(*where, status="waiting", attempts=0, next_attempt_at=0, last_error=None)


def _free():
    return OutboxRow.status == "waiting", OutboxRow.next_attempt_at <= now()


def _held(claim):
    return OutboxRow.id == claim.row_id, OutboxRow.status == "waiting", OutboxRow.attempts == claim.attempt
'''

VARIANTS = [
    {
        "id": "ok-written-ahead",
        "kind": "correct",
        "job": JOB,
        "what": (
            "A claim writes ahead what a failure would mean, the attempt and the time of the next; a death needs no lease "
            "of its own. The claim is a compare-and-set on attempts, which also is the fence, instead of UPDATE ... "
            "RETURNING with a token; the table is reached through a small repository."
        ),
        "edits": [
            (OUTBOX, whole(OUTBOX), AHEAD_OUTBOX),
            (
                TESTS,
                """        assert outbox.claim(1)
        clock.time += outbox.LEASE_SECONDS
    relay_outbox.apply()
""",
                """        assert outbox.claim(1)
        clock.time += outbox.LONGEST_WAIT
    relay_outbox.apply()
""",
            ),
        ],
    },
    {
        "id": "m-mrn-after",
        "kind": "mistake",
        "job": JOB,
        "what": (
            "proof.state and idempotency (a declared row is done): settling is two transactions, the outbox first, the "
            "order's MRN in the next. Customs answer; the row becomes 'declared' and is committed; the worker is killed, or "
            "the database fails, before the order. No run takes a declared row again, and insist's second try finds it "
            "changed already: the order never gets its MRN."
        ),
        "edits": [
            (
                OUTBOX,
                '''            claimed_by=None,
            last_error=None,
        )
        if changed:
            order_id = select(OutboxRow.order_id).where(OutboxRow.id == claim.row_id).scalar_subquery()
            session.execute(
                update(Order)
                .where(Order.id == order_id)
                .values(mrn=mrn)
                .execution_options(synchronize_session=False)
            )
        return changed
''',
                '''            claimed_by=None,
            last_error=None,
        )
    if changed:
        _note_mrn(claim.row_id, mrn)
    return changed


def _note_mrn(row_id: int, mrn: str) -> None:
    with transaction() as session:
        order = session.scalars(
            select(Order).join(OutboxRow, OutboxRow.order_id == Order.id).where(OutboxRow.id == row_id)
        ).one()
        order.mrn = mrn
''',
            )
        ],
    },
    {
        "id": "m-order-then-outbox",
        "kind": "mistake",
        "job": JOB,
        "what": (
            "enqueue (order and declaration, both or neither): the order is committed before its outbox row is written in a "
            "transaction of its own. The process dies, or the database fails, in between; the desk places the order again, "
            "the reference is known, its id comes back and no outbox row is ever made: the goods travel undeclared."
        ),
        "edits": [
            (
                ORDERS,
                '''            session.add(order)
            session.flush()
            session.add(
                OutboxRow(
                    order_id=order.id,
                    declaration_id=f"spd-{reference}",
                    document={"reference": reference, "consignee": consignee, "country": country, "goods": goods},
                )
            )
            return order.id
''',
                '''            session.add(order)
''',
            ),
            (
                ORDERS,
                '''        if known is None:
            raise
        return known
''',
                '''        if known is None:
            raise
        return known
    _note_declaration(order, goods)
    return order.id


def _note_declaration(order: Order, goods: list) -> None:
    document = {"reference": order.reference, "consignee": order.consignee, "country": order.country, "goods": goods}
    with transaction() as session:
        session.add(OutboxRow(order_id=order.id, declaration_id=f"spd-{order.reference}", document=document))
''',
            ),
        ],
    },
    {
        "id": "m-exhausted-unseen",
        "kind": "mistake",
        "job": JOB,
        "what": (
            "worker.deliveries and dead_letter (after the last attempt the job ends, with a record): due() leaves out rows "
            "that have had their six attempts, since claim() would refuse them. A row whose sixth attempt dies with its "
            "worker, or whose burial fails in the database, stands at attempts 6 and 'waiting'; nothing lists it, "
            "bury_exhausted is never reached, and it waits for ever without a dead letter."
        ),
        "edits": [
            (
                OUTBOX,
                '''                .where(OutboxRow.status == "waiting", OutboxRow.next_attempt_at <= now())
''',
                '''                .where(*_free(), OutboxRow.attempts < MAX_ATTEMPTS)
''',
            ),
            (
                TESTS,
                """def test_row_whose_workers_died_is_buried(order, office, clock):
    for _ in range(6):
        assert outbox.claim(1)
        clock.time += outbox.LEASE_SECONDS
    relay_outbox.apply()
    assert office.calls == 0 and row().status == "dead"


""",
                "",
            ),
        ],
    },
]
