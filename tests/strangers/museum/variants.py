"""Another way to be right, and mistakes that pass review."""

JOB = "refund-ticket"
JOBS, REFUNDS, RETURNS, WORKER, MODELS, LOG = (
    f"museum/{name}.py" for name in ("jobs", "refunds", "returns", "worker", "models", "joblog")
)
TESTS, SPEC = "tests/test_refund_ticket.py", ".skillrun/jobs/refund-ticket.yaml"

SETTLE = '''async def settle(ticket_id: int, paydesk_id: str) -> bool:
    """The money has moved: write that down, and put the place on sale again. That beats a failure of somebody else."""
    async with transaction() as session:
        moved = await session.execute(
            update(Refund)
            .where(Refund.ticket_id == ticket_id, Refund.state != "refunded")
            .values(state="refunded", paydesk_id=paydesk_id)
        )
        if moved.rowcount == 0:
            return False
'''
START = '''async def start(ticket_id: int) -> Refund:
    async with transaction() as session:
        refund = await open_refund(session, ticket_id)
        if refund.state == "pending":
            at = now()
            refund.first_try_at = refund.first_try_at or at
            if at - refund.first_try_at > ASK_FOR:
                raise AskedTooLong(f"ticket {ticket_id}, for {at - refund.first_try_at:.0f}s")
            refund.touched_at = at
    return refund


'''
LEDGER_REFUNDS = '''"""What a refund may become, and what comes with it."""
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.exc import StaleDataError

from museum.database import now, transaction
from museum.models import DeadJob, Refund, Release, Ticket, TimeSlot

ASK_FOR = 20 * 3600  # PayDesk knows a request_id for 24 hours


class Hopeless(Exception):
    pass


class NoSuchTicket(Hopeless):
    pass


class NotReturnable(Hopeless):
    pass


class AskedTooLong(Hopeless):
    pass


class Refunds:
    """A unit of work around one ticket's refund. Two that touch the same row: the version tells the later one."""

    def __init__(self, session: AsyncSession, ticket_id: int):
        self.session, self.ticket_id = session, ticket_id

    async def open(self) -> Refund:
        refund = await self.session.get(Refund, self.ticket_id)
        if refund is not None:
            return refund
        ticket = await self.session.get(Ticket, self.ticket_id)
        if ticket is None:
            raise NoSuchTicket(f"ticket {self.ticket_id}")
        if ticket.status != "sold":
            raise NotReturnable(f"ticket {self.ticket_id} is {ticket.status}")
        ticket.status = "returning"
        refund = Refund(
            ticket_id=ticket.id, payment_id=ticket.payment_id, amount_cents=ticket.price_cents, state="pending"
        )
        self.session.add(refund)
        return refund

    def touch(self, refund: Refund) -> None:
        at = now()
        if refund.first_try_at is None:
            refund.first_try_at = at
        elif at > refund.first_try_at + ASK_FOR:
            raise AskedTooLong(f"ticket {self.ticket_id}, for {at - refund.first_try_at:.0f}s")
        refund.touched_at = at

    async def released(self) -> bool:
        return await self.session.get(Release, self.ticket_id) is not None

    async def release(self, paydesk_id: str) -> None:
        refund = await self.session.get(Refund, self.ticket_id)
        ticket = await self.session.get(Ticket, self.ticket_id)
        slot = await self.session.get(TimeSlot, ticket.slot_id)
        self.session.add(Release(ticket_id=self.ticket_id, paydesk_id=paydesk_id, released_at=now()))
        await self.session.flush()
        refund.state, refund.paydesk_id, ticket.status = "refunded", paydesk_id, "returned"
        slot.sold = TimeSlot.sold - 1
        await self.session.execute(delete(DeadJob).where(DeadJob.key == key_of("refund_ticket", self.ticket_id)))

    async def fail(self, dead: DeadJob) -> None:
        refund = await self.session.get(Refund, self.ticket_id)
        if refund is not None:
            refund.state = "failed"
        await bury(self.session, dead)


def key_of(function: str, what) -> str:
    return f"{function}:{what}"


async def bury(session: AsyncSession, dead: DeadJob) -> None:
    if await session.scalar(select(DeadJob.key).where(DeadJob.key == dead.key)) is None:
        session.add(dead)


async def open_refund(session: AsyncSession, ticket_id: int) -> Refund:
    return await Refunds(session, ticket_id).open()


async def start(ticket_id: int) -> Refund:
    while True:
        try:
            async with transaction() as session:
                work = Refunds(session, ticket_id)
                refund = await work.open()
                if refund.state == "pending" and not await work.released():
                    work.touch(refund)
            return refund
        except (StaleDataError, IntegrityError):
            continue


async def settle(ticket_id: int, paydesk_id: str) -> bool:
    """The money has moved: write that down, and put the place on sale again."""
    while True:
        try:
            async with transaction() as session:
                work = Refunds(session, ticket_id)
                if await work.released():
                    return False
                await work.release(paydesk_id)
            return True
        except (StaleDataError, IntegrityError):
            continue


async def give_up(ticket_id: int | None, *, function: str, job_id: str, message: dict, error: str, attempt: int) -> None:
    dead = dict(
        key=key_of(function, job_id if ticket_id is None else ticket_id), function=function, job_id=job_id,
        message=message, error=error, attempt=attempt, died_at=now(),
    )
    async with transaction() as session:
        if ticket_id is None:
            await bury(session, DeadJob(**dead))
            return
        work = Refunds(session, ticket_id)
        if not await work.released():
            await work.fail(DeadJob(**dead))
'''

VARIANTS = [
    dict(
        id="ok-releases", kind="correct", job=JOB,
        what="A table of releases with the ticket as its primary key says what is done, behind a unit of work with a version"
             " column; message checks with pydantic; the LoggerAdapter hands JSON to the formatter through extra.",
        edits=[
            (MODELS, '''class DeadJob(Base):
''', '''class Release(Base):
    """A place that went back on sale. One per ticket, for ever."""

    __tablename__ = "releases"

    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"), primary_key=True)
    paydesk_id: Mapped[str]
    released_at: Mapped[float]


class DeadJob(Base):
'''),
            (MODELS, '''    touched_at: Mapped[float | None]
''', '''    touched_at: Mapped[float | None]
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}
'''),
            (REFUNDS, "", LEDGER_REFUNDS),
            (RETURNS, '''    async with transaction() as session:
        await session.execute(update(Refund).where(Refund.ticket_id == ticket_id).values(touched_at=now()))
''', '''    async with transaction() as session:
        refund = await session.get(Refund, ticket_id)
        refund.touched_at = now()
'''),
            (RETURNS, "import or_, select, update", "import or_, select"),
            (LOG, "", '''import json
import logging
import sys


class AsJson(logging.Formatter):
    def format(self, record):
        line = {
            "at": self.formatTime(record), "level": record.levelname, "logger": record.name,
            "message": record.getMessage(), **getattr(record, "about", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(AsJson())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)


class JobLog(logging.LoggerAdapter):
    """Hands on with each record which job it is about."""

    def process(self, msg, kwargs):
        return msg, {**kwargs, "extra": {"about": dict(self.extra)}}
'''),
            (JOBS, '''                given = signature.bind(ctx, None, *args, **message).arguments["ticket_id"]
            except TypeError as exc:
                raise BadMessage(str(exc)) from None
            if type(given) is not int or not 0 < given < 2**63:
                raise BadMessage(f"ticket_id is a {type(given).__name__} out of range")
            ticket_id = given
''', '''                bound = signature.bind(ctx, None, *args, **message).arguments
                ticket_id = Message.model_validate({"ticket_id": bound["ticket_id"]}).ticket_id
            except (TypeError, ValidationError) as exc:
                raise BadMessage(type(exc).__name__) from None
'''),
            (JOBS, '''class DiesTooOften(''', '''class Message(BaseModel):
    model_config = ConfigDict(strict=True)

    ticket_id: int = Field(gt=0, lt=2**63)


class DiesTooOften('''),
            (JOBS, "from arq import Retry\n", "from arq import Retry\nfrom pydantic import BaseModel, ConfigDict, Field, ValidationError\n"),
            (TESTS, '''    last = caplog.messages[-1]
    assert "job_id=job-1" in last and "key=ticket-1" in last and "attempt=1" in last
''', '''    assert caplog.records[-1].about == {"job": "refund_ticket", "job_id": "job-1", "key": "ticket-1", "attempt": 1}
'''),
            (SPEC, "{store: table refunds}", "{store: table releases}"),
        ],
    ),
    dict(
        id="m-refund-at-hand", kind="mistake", job=JOB,
        what="settle() takes the refund that start() has read and looks at its state, instead of asking the database again."
             " Promise: a ticket is refunded and its place released once (proof.state: time_slots.sold). Two deliveries at"
             " once: both start while the refund is pending, both get rf-1 from PayDesk, both settle: sold falls by two,"
             " and one place too many is on sale.",
        edits=[
            (REFUNDS, SETTLE, '''async def settle(refund: Refund, paydesk_id: str) -> bool:
    """The money has moved: write that down, and put the place on sale again. That beats a failure of somebody else."""
    if refund.state == "refunded":
        return False
    ticket_id = refund.ticket_id
    async with transaction() as session:
        await session.execute(
            update(Refund)
            .where(Refund.ticket_id == ticket_id)
            .values(state="refunded", paydesk_id=paydesk_id)
        )
'''),
            (JOBS, "refunds.settle(ticket_id, paydesk_id)", "refunds.settle(refund, paydesk_id)"),
            (TESTS, '''async def test_delivered_twice_at_once(desk):
    await asyncio.gather(refund_ticket(ctx(), ticket_id=1), refund_ticket(ctx(job_id="job-2"), ticket_id=1))
''', '''async def test_delivered_twice_in_a_task(desk):
    for job_id in ("job-1", "job-2"):
        await asyncio.create_task(refund_ticket(ctx(job_id=job_id), ticket_id=1))
'''),
        ],
    ),
    dict(
        id="m-arq-counts", kind="mistake", job=JOB,
        what="The attempts are left to arq (max_tries=5), and a passing error always asks for another try. Promise:"
             " dead_letter after the last of five attempts. PayDesk is away for all five: on the sixth pick arq drops the"
             " job with a line of its own and never calls us; no dead letter, the refund stays pending, and each sweep"
             " starts five more attempts.",
        edits=[
            (JOBS, '''            if attempt < ATTEMPTS:
                wait = pause(attempt)
                log.warning("failed, again in %.0fs: %s", wait, say(exc))
                raise Retry(defer=wait) from exc
            await bury(log, function.__name__, ticket_id, ctx, args, message, exc)
            raise
''', '''            wait = pause(attempt)
            log.warning("failed, again in %.0fs: %s", wait, say(exc))
            raise Retry(defer=wait) from exc
'''),
            (JOBS, '''            if attempt > DELIVERIES:
                raise DiesTooOften(f"delivery {attempt}")
''', ""),
            (JOBS, '''class DiesTooOften(refunds.Hopeless):
    pass


''', ""),
            (JOBS, '''ATTEMPTS = 5
DELIVERIES = 10
''', '''ATTEMPTS = 5
'''),
            (WORKER, '''        # arq drops what exceeds its own limit without a word, so ours has to come first.
        func(refund_ticket, name="refund_ticket", timeout=90, max_tries=DELIVERIES + 10, keep_result=0),
''', '''        func(refund_ticket, name="refund_ticket", timeout=90, max_tries=ATTEMPTS, keep_result=0),
'''),
            (WORKER, "from museum.jobs import DELIVERIES, refund_ticket", "from museum.jobs import ATTEMPTS, refund_ticket"),
            (TESTS, '''async def test_given_up_after_five(desk):
    desk.answers = [PayDeskAway("HTTP 503")]
    with pytest.raises(PayDeskAway):
        await refund_ticket(ctx(5), ticket_id=1)
    assert await everything() == ([("failed", None)], [("returning",)], [(12,)])
    assert await rows("select key, attempt, error from dead_jobs") == [("refund_ticket:1", 5, "PayDeskAway: HTTP 503")]
''', '''async def test_five_attempts():
    from museum.worker import WorkerSettings

    assert WorkerSettings.functions[0].max_tries == 5
'''),
            (TESTS, '''async def test_dies_too_often(desk):
    with pytest.raises(Exception):
        await refund_ticket(ctx(11), ticket_id=1)
    assert not desk.asked
    assert len(await rows("select * from dead_jobs")) == 1


''', ""),
        ],
    ),
    dict(
        id="m-never-touched", kind="mistake", job=JOB,
        what="The sweep asks for touched_at < ten minutes ago only; NULL is not less than anything. Promise: enqueue.relay"
             " and recovers. request_return commits, then Redis does not answer (or the web process dies): the refund was"
             " never queued, touched_at is NULL, and no sweep ever finds it; the ticket stays returning.",
        edits=[
            (RETURNS, '''                .where(
                    Refund.state == "pending",
                    or_(Refund.touched_at.is_(None), Refund.touched_at < now() - QUIET_FOR),
                )
''', '''                .where(Refund.state == "pending", Refund.touched_at < now() - QUIET_FOR)
'''),
            (RETURNS, "import or_, select, update", "import select, update"),
        ],
    ),
]
