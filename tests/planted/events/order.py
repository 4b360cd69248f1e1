"""order: job A, then B, then A again; two different jobs of the same kind beside each other; one that works on the other's row."""

EVENT = "order"

VARIANTS = [
    # ------------------------------------------------------------------ 1
    {
        "base": "async-tickets", "id": "p-order-1", "kind": "mistake", "job": "refund-order", "event": EVENT,
        "what": "The steps became methods of a desk that knows the order it works on, and there is one desk for the whole "
                "worker: while A waits for the payment provider, B sits down at it. A's refund is booked on B (its credit, "
                "its refund_id), B's own finds the step's row, and A's order is never marked though its money went back",
        "edits": [
            (
                "tickets/tasks.py",
                '''    with structlog.contextvars.bound_contextvars(order_id=order_id):
        order = await load(order_id)
        refund = await finished(order_id, "refund")
        if refund is None:
            refund = await payments.refund(
                order_id=order_id, amount_cents=order.amount_cents, idempotency_key=f"refund:{order_id}"
            )
            await settle(order, refund)
        if await finished(order_id, "organiser") is None:
            await tell_organiser(order, reason)
        logger.info("order_refunded", refund_id=refund["id"])
''',
                '''    with structlog.contextvars.bound_contextvars(order_id=order_id):
        await desk.refund(order_id, reason)


class RefundDesk:
    """Knows what is being refunded, so that the steps need not hand it on to each other."""

    order: Order
    reason: str

    async def refund(self, order_id: str, reason: str) -> None:
        self.order, self.reason = await load(order_id), reason
        refund = await finished(self.order.id, "refund")
        if refund is None:
            refund = await self.pay_back()
        if await finished(self.order.id, "organiser") is None:
            await tell_organiser(self.order, self.reason)
        logger.info("order_refunded", refund_id=refund["id"])

    async def pay_back(self) -> dict:
        refund = await payments.refund(
            order_id=self.order.id,
            amount_cents=self.order.amount_cents,
            idempotency_key=f"refund:{self.order.id}",
        )
        await settle(self.order, refund)
        return refund


desk = RefundDesk()
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ 2
    {
        "base": "seedlibrary", "id": "p-order-2", "kind": "mistake", "job": "mail-invoice", "event": EVENT,
        "what": "Invoices are numbered through per month, as the auditor wants it: how many there are, plus one. Two members "
                "whose messages are worked on beside each other count the same, the second meets the unique number, and "
                "the IntegrityError buries it for good: a dead job, and no invoice, for somebody who did nothing wrong",
        "edits": [
            (
                "billing/invoicing.py",
                '''    invoice, _ = Invoice.objects.get_or_create(
        member_id=member_id,
        month=month,
        defaults={"number": f"SL-{month}-{member_id:04d}", "total_cents": total},
    )
''',
                '''    invoice, _ = Invoice.objects.get_or_create(
        member_id=member_id,
        month=month,
        defaults={"number": next_number(month), "total_cents": total},
    )
''',
            ),
            (
                "billing/invoicing.py",
                '''def claim(member_id: int, month: str) -> Invoice | None:
''',
                '''def next_number(month: str) -> str:
    """Without gaps, month by month."""
    return f"SL-{month}-{Invoice.objects.filter(month=month).count() + 1:04d}"


def claim(member_id: int, month: str) -> Invoice | None:
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ 3
    {
        "base": "bank-payouts", "id": "p-order-3", "kind": "mistake", "job": "send-payout", "event": EVENT,
        "what": "The rail takes one transfer of an account at a time, so a payout whose account has another one under way "
                "steps back; but it returns as if done instead of coming again: the second payout of an account, beside the "
                "first or while that waits for its retry, is dropped without a word and stays 'requested' (nothing vanishes)",
        "edits": [
            (
                "bank_payouts/service.py",
                '''        if payout.status in FINAL:
            return False
        payout.status = SENDING
''',
                '''        if payout.status in FINAL:
            return False
        if uow.payouts.under_way(order.account_id, besides=order.payout_id):
            # the rail refuses a second transfer of an account while the first is open
            job_log(JOB, payout_id=order.payout_id).info("account has another payout under way")
            return False
        payout.status = SENDING
''',
            ),
            (
                "bank_payouts/repositories.py",
                "from .models import Account, DeadLetter, Entry, OutboxMessage, Payout, now\n",
                "from .models import SENDING, Account, DeadLetter, Entry, OutboxMessage, Payout, now\n",
            ),
            (
                "bank_payouts/repositories.py",
                '''class Payouts(Repository):
    model = Payout
''',
                '''class Payouts(Repository):
    model = Payout

    def under_way(self, account_id, besides):
        others = select(Payout.id).where(Payout.account_id == account_id, Payout.status == SENDING, Payout.id != besides)
        return self.session.scalars(others).first() is not None
''',
            ),
            (
                "bank_payouts/service.py",
                'log.info("payout is settled already, nothing to do")',
                'log.info("nothing to do")',
            ),
        ],
    },
    # ------------------------------------------------------------------ 4
    {
        "base": "mailcourier", "id": "p-order-4", "kind": "mistake", "job": "deliver-copy", "event": EVENT,
        "what": "An issue is set once per worker and copied for each reader, since setting the text was what took the time; "
                "To and Message-ID are replaced, greeting and List-Unsubscribe are forgotten: after A's copy B's begins "
                "with 'Dear A' and its link unsubscribes A. The spec promises one issue to one reader; no state shows it, "
                "only the letter does",
        "edits": [
            (
                "mailcourier/postman.py",
                '''def write(issue, subscriber, message_id) -> EmailMessage:
    letter = EmailMessage()
''',
                '''_set = {}


def write(issue, subscriber, message_id) -> EmailMessage:
    """Setting a long issue takes its time, so it is done once and copied for the others."""
    if issue["subject"] not in _set:
        _set[issue["subject"]] = compose(issue, subscriber, message_id)
    letter = copy.deepcopy(_set[issue["subject"]])
    letter.replace_header("To", subscriber["email"])
    letter.replace_header("Message-ID", message_id)
    return letter


def compose(issue, subscriber, message_id) -> EmailMessage:
    letter = EmailMessage()
''',
            ),
            ("mailcourier/postman.py", "import smtplib\nfrom email", "import copy\nimport smtplib\nfrom email"),
        ],
    },
    # ------------------------------------------------------------------ 5
    {
        "base": "gridops", "id": "p-order-5", "kind": "mistake", "job": "submit-schedule", "event": EVENT,
        "what": "Only a newer revision that the operator has accepted supersedes an older one ('a newer one that is refused "
                "in the end left the day without any schedule'): while revision 2 is being submitted, or waits for its retry, "
                "revision 1 goes out beside it; whichever lands last counts at the operator, and both rows say accepted",
        "edits": [
            (
                "gridops/schedules.py",
                '''            schedules.c.status != "draft",
        )
''',
                '''            schedules.c.status == "accepted",
        )
''',
            ),
            (
                "gridops/tables.py",
                "# superseded: a newer revision was approved before this one had been accepted\n",
                "# superseded: a newer revision was accepted before this one\n",
            ),
        ],
    },
    # ------------------------------------------------------------------ ok 1
    {
        "base": "cloudkeys", "id": "ok-order-1", "kind": "correct", "job": "provision-key", "event": EVENT,
        "what": "A register of locks in the worker, one per request and gone with its last user: deliveries of one request "
                "take turns, those of different requests run beside each other; the rows and the partner's key stay behind it",
        "edits": [
            (
                "cloudkeys/jobs.py",
                '''        request = await _start(sessions, ref)
        if request is None:
            return
        attempt = max(attempt, request.attempts)
        bind_contextvars(attempt=attempt)
        if attempt > MAX_ATTEMPTS:
            raise AttemptsUsedUp(f"{MAX_ATTEMPTS} attempts are used up, the last one did not come back")
        log.info("job started", tenant=request.tenant)
        key = await ctx["partner"].create_key(
            tenant=request.tenant,
            scope=request.scope,
            idempotency_key=f"cloudkeys:{ref}",
        )
        await _record(sessions, ref, key)
        log.info("job succeeded", key_id=key["key_id"])
''',
                '''        turn = _turn(ref)
        async with turn:
            request = await _start(sessions, ref)
            if request is None:
                return
            attempt = max(attempt, request.attempts)
            bind_contextvars(attempt=attempt)
            if attempt > MAX_ATTEMPTS:
                raise AttemptsUsedUp(f"{MAX_ATTEMPTS} attempts are used up, the last one did not come back")
            log.info("job started", tenant=request.tenant)
            key = await ctx["partner"].create_key(
                tenant=request.tenant,
                scope=request.scope,
                idempotency_key=f"cloudkeys:{ref}",
            )
            await _record(sessions, ref, key)
            log.info("job succeeded", key_id=key["key_id"])
''',
            ),
            (
                "cloudkeys/jobs.py",
                '''async def provision_key(ctx: dict[str, Any], message: dict[str, Any]) -> None:
''',
                '''_turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


def _turn(ref: str) -> asyncio.Lock:
    """The lock of a request in this worker. Whoever waits for it keeps it alive; nothing is left to tidy up."""
    turn = _turns.get(ref)
    if turn is None:
        turn = _turns[ref] = asyncio.Lock()
    return turn


async def provision_key(ctx: dict[str, Any], message: dict[str, Any]) -> None:
''',
            ),
            ("cloudkeys/jobs.py", "import hashlib\nimport json\nimport random\nfrom typing import Any\n",
             "import asyncio\nimport hashlib\nimport json\nimport random\nfrom typing import Any\nfrom weakref import WeakValueDictionary\n"),
        ],
    },
    # ------------------------------------------------------------------ ok 2
    {
        "base": "gridops", "id": "ok-order-2", "kind": "correct", "job": "submit-schedule", "event": EVENT,
        "what": "A high-water mark per site and day, raised by approval and by each start and never lowered; a revision "
                "below the mark is superseded, in whatever order and how often the messages come",
        "edits": [
            (
                ".skillrun/jobs/submit-schedule.yaml",
                "    outbox: select actor, kwargs from outbox order by id\n",
                "    outbox: select actor, kwargs from outbox order by id\n"
                "    marks: select site, day, revision from marks order by 1, 2\n",
            ),
            (
                "gridops/tables.py",
                '''outbox = Table(
''',
                '''# the highest revision that anybody has meant to submit for that day; it only goes up
marks = Table(
    "marks",
    metadata,
    Column("site", String(40), nullable=False),
    Column("day", String(10), nullable=False),
    Column("revision", Integer, nullable=False),
    PrimaryKeyConstraint("site", "day"),
)

outbox = Table(
''',
            ),
            (
                "gridops/schedules.py",
                '''        newer = select(schedules.c.revision).where(
            schedules.c.site == ref.site,
            schedules.c.day == ref.day,
            schedules.c.revision > ref.revision,
            schedules.c.status != "draft",
        )
        if con.execute(newer).first():
            con.execute''',
                '''        if not leads(con, ref):
            con.execute''',
            ),
            (
                "gridops/schedules.py",
                '''def document(row) -> bytes:
''',
                '''def leads(con, ref: Ref) -> bool:
    """Raise the day's mark to this revision; False where a newer one has raised it further."""
    mark = and_(marks.c.site == ref.site, marks.c.day == ref.day)
    if con.execute(
        update(marks).where(mark, marks.c.revision <= ref.revision).values(revision=ref.revision)
    ).rowcount:
        return True
    try:
        with con.begin_nested():
            con.execute(insert(marks).values(site=ref.site, day=ref.day, revision=ref.revision))
    except IntegrityError:
        return False
    return True


def document(row) -> bytes:
''',
            ),
            (
                "gridops/schedules.py",
                '''from sqlalchemy import and_, select, update

from .tables import engine, schedules
''',
                '''from sqlalchemy import and_, insert, select, update
from sqlalchemy.exc import IntegrityError

from .tables import engine, marks, schedules
''',
            ),
            (
                "gridops/desk.py",
                '''        outbox.add(con, "submit_schedule", **ref.model_dump())
    outbox.flush()


def requeue_stalled''',
                '''        leads(con, ref)
        outbox.add(con, "submit_schedule", **ref.model_dump())
    outbox.flush()


def requeue_stalled''',
            ),
            ("gridops/desk.py", "from .schedules import OPEN, Ref\n", "from .schedules import OPEN, Ref, leads\n"),
        ],
    },
]

VARIANTS += [{'base': 'gridops',
  'id': 'q-order-1',
  'kind': 'mistake',
  'job': 'submit-schedule',
  'event': 'order',
  'what': 'Whether a newer revision has been approved is asked in the first start only (what has begun may be at the operator already, and '
          "'superseded' would be untrue). Sequence: r1's first attempt gets a 503, r1 is 'submitting' and waits for its retry; the desk "
          "approves r2 (approve supersedes drafts and ready ones only), r2 is handed in and 'accepted'; r1's retry comes, is start 2, does "
          "not look, and is handed in after r2: the operator's last word is the older schedule. Base: the retry finds r2 and r1 ends as "
          "'superseded'.",
  'edits': [('gridops/schedules.py',
             '        if con.execute(newer).first():\n',
             '        if row.starts == 1 and con.execute(newer).first():\n')]}]
