from pathlib import Path

_BASE = Path(__file__).resolve().parent / "base"
SERVICE = "backoffice/service/payouts.py"
ACTORS = "backoffice/entrypoints/actors.py"
BROKER = "backoffice/entrypoints/broker.py"
MODEL = "backoffice/domain/model.py"
ORM = "backoffice/adapters/orm.py"
REPOSITORY = "backoffice/adapters/repository.py"

# --- ok-1: no middleware; permanent errors are buried by the actor, exhausted ones by an actor of their own
OK1_BROKER = '''import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker

from backoffice.config import Settings


def make_broker() -> dramatiq.Broker:
    url = Settings.from_env().broker_url
    broker = StubBroker() if url.startswith("stub:") else RedisBroker(url=url)
    dramatiq.set_broker(broker)
    return broker
'''
OK1_ACTORS = '''import hashlib
import json
import logging

import dramatiq

from backoffice import logs
from backoffice.adapters.bank import BankApi, BankRejected
from backoffice.domain.commands import InvalidCommand, PayInstalment
from backoffice.domain.model import ClaimNotPayable, DeadLetter
from backoffice.entrypoints.broker import make_broker
from backoffice.service import payouts
from backoffice.service.unit_of_work import UnitOfWork

logs.configure()
broker = make_broker()
log = logging.getLogger(__name__)


def bury(fields, error: str) -> None:
    """One dead letter a job: the same message, or a repetition of it, meets its own letter again."""
    payload = json.dumps(fields, sort_keys=True)
    letter_id = hashlib.sha256(payload.encode()).hexdigest()
    with UnitOfWork() as uow:
        uow.session.merge(DeadLetter(letter_id, "pay_instalment", payload, error))
        uow.commit()
    log.error("message is dead", extra={"payload": payload, "error": error})


@dramatiq.actor(queue_name="payouts")
def bury_exhausted(message, retries):
    bury(message["kwargs"], message["options"].get("traceback", "retries exhausted"))


@dramatiq.actor(
    queue_name="payouts",
    max_retries=4,
    min_backoff=10_000,
    max_backoff=300_000,
    on_retry_exhausted="bury_exhausted",
)
def pay_instalment(**fields):
    try:
        command = PayInstalment.parse(fields)
        payouts.pay_instalment(command, UnitOfWork(), BankApi.from_settings())
    except (InvalidCommand, ClaimNotPayable, BankRejected) as error:
        bury(fields, repr(error))
'''

# --- ok-2: Core statements with conditions instead of locked entities; the ledger has a unique index
OK2_REPOSITORY_IMPORT = '''from sqlalchemy import select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from backoffice.adapters import orm
from backoffice.domain import model
'''
OK2_PAYOUTS = '''        return self.session.get(model.Payout, (claim_no, instalment), with_for_update=True)

    def order(self, claim_no: str, instalment: int):
        """What the bank needs, and how things stand; takes no lock."""
        query = (
            select(orm.payouts.c, orm.claims.c.iban, orm.claims.c.holder)
            .join_from(orm.payouts, orm.claims)
            .where(
                orm.payouts.c.claim_no == claim_no,
                orm.payouts.c.instalment == instalment,
                orm.claims.c.status == model.APPROVED,
            )
        )
        return self.session.execute(query).one_or_none()

    def move(self, claim_no: str, instalment: int, was: tuple[str, ...], **values) -> bool:
        """Change the payout if it still stands where we think it does."""
        statement = update(orm.payouts).where(
            orm.payouts.c.claim_no == claim_no,
            orm.payouts.c.instalment == instalment,
            orm.payouts.c.status.in_(was),
        )
        return self.session.execute(statement.values(**values)).rowcount == 1


class Ledger(Repository):
    def book(self, claim_no: str, instalment: int, amount_cents: int) -> None:
        for account, cents in [("claims-paid", amount_cents), ("bank", -amount_cents)]:
            values = dict(claim_no=claim_no, instalment=instalment, account=account, amount_cents=cents)
            statement = insert(orm.ledger).values(**values, booked_at=model.now())
            self.session.execute(statement.on_conflict_do_nothing())
'''
OK2_SERVICE = '''import logging

from backoffice.adapters.bank import BankApi, BankRejected
from backoffice.domain.commands import PayInstalment
from backoffice.domain.model import APPROVED, PAID, REJECTED, ClaimNotPayable, now
from backoffice.service.unit_of_work import UnitOfWork


class JobLog(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        kwargs["extra"] = {**self.extra, **kwargs.get("extra", {})}
        return msg, kwargs


def pay_instalment(command: PayInstalment, uow: UnitOfWork, bank: BankApi) -> None:
    """Pay one instalment of an approved claim, once."""
    log = JobLog(logging.getLogger(__name__), command.log_fields())
    which = (command.claim_no, command.instalment)

    with uow:
        order = uow.payouts.order(*which)
    if order is None:
        raise ClaimNotPayable("/".join(map(str, which)))
    if order.status == PAID:
        return log.info("payout was made before")
    if order.status == REJECTED:
        raise BankRejected(order.reject_code)

    try:
        receipt = bank.transfer(
            iban=order.iban,
            holder=order.holder,
            amount_cents=order.amount_cents,
            reference=f"Claim {command.claim_no}, instalment {command.instalment}",
            idempotency_key=f"claim-{command.claim_no}-{command.instalment}",
        )
    except BankRejected as error:
        with uow:
            uow.payouts.move(*which, was=(APPROVED,), status=REJECTED, reject_code=error.code)
            uow.commit()
        log.error("bank rejected payout", extra={"code": error.code})
        raise

    with uow:
        settled = dict(status=PAID, payment_id=receipt["payment_id"], paid_at=now())
        if uow.payouts.move(*which, was=(APPROVED, REJECTED), **settled):
            uow.ledger.book(*which, order.amount_cents)
        uow.commit()
    log.info("payout made", extra={"payment_id": receipt["payment_id"]})
'''

# --- ok-3: the bank's key is drawn once, and stored with the payout before the first call
OK3_SERVICE = '''import logging
import uuid
from contextlib import contextmanager

from backoffice.adapters.bank import BankApi, BankRejected
from backoffice.domain.commands import PayInstalment
from backoffice.domain.model import APPROVED, PAID, REJECTED, ClaimNotPayable
from backoffice.service.unit_of_work import UnitOfWork

log = logging.getLogger(__name__)


@contextmanager
def locked(uow: UnitOfWork, command: PayInstalment):
    """The claim and its payout, in a unit of work of their own that is committed at the end."""
    with uow:
        claim = uow.claims.get(command.claim_no)
        payout = uow.payouts.get(command.claim_no, command.instalment)
        if claim is None or payout is None or claim.status != APPROVED:
            raise ClaimNotPayable(f"{command.claim_no}/{command.instalment}")
        yield claim, payout
        uow.commit()


def prepare(command: PayInstalment, uow: UnitOfWork) -> dict | None:
    """The order for the bank; None when it was carried out before."""
    with locked(uow, command) as (claim, payout):
        if payout.status == REJECTED:
            raise BankRejected(payout.reject_code)
        if payout.bank_key is None:
            payout.bank_key = uuid.uuid4().hex
        order = {
            "iban": claim.iban,
            "holder": claim.holder,
            "amount_cents": payout.amount_cents,
            "reference": f"Claim {claim.claim_no}, instalment {payout.instalment}",
            "idempotency_key": payout.bank_key,
        }
        done = payout.status == PAID
    return None if done else order


def settle(command: PayInstalment, uow: UnitOfWork, payment_id: str) -> None:
    with locked(uow, command) as (_claim, payout):
        if payout.status != PAID:
            payout.mark_paid(payment_id)
            uow.ledger.book_payout(payout)


def refuse(command: PayInstalment, uow: UnitOfWork, code: str) -> None:
    with locked(uow, command) as (_claim, payout):
        if payout.status == APPROVED:
            payout.reject(code)


def pay_instalment(command: PayInstalment, uow: UnitOfWork, bank: BankApi) -> None:
    """Pay one instalment of an approved claim, once."""
    order = prepare(command, uow)
    if order is None:
        log.info("payout was made before", extra={"job": command.log_fields()})
        return
    try:
        receipt = bank.transfer(**order)
    except BankRejected as error:
        refuse(command, uow, error.code)
        log.exception("bank rejected payout", extra={"job": command.log_fields()})
        raise
    settle(command, uow, receipt["payment_id"])
    log.info("payout made", extra={"job": command.log_fields()})
'''

# --- mistake: booked in the accounts first, then marked as paid, each in its own unit of work
M7_ACCOUNTING = '''"""Bookkeeping is an aggregate of its own: one unit of work per aggregate."""

from backoffice.service.unit_of_work import UnitOfWork


def book_payout(claim_no: str, instalment: int) -> None:
    with UnitOfWork() as uow:
        uow.ledger.book_payout(uow.payouts.get(claim_no, instalment))
        uow.commit()
'''

VARIANTS = [
    dict(id="ok-1", kind="correct", job="pay-instalment",
         what="Dead letters are written by the actor for permanent errors and by an on_retry_exhausted actor for the others; one letter per job.",
         edits=[(BROKER, "", OK1_BROKER), (ACTORS, "", OK1_ACTORS)]),
    dict(id="ok-2", kind="correct", job="pay-instalment",
         what="Conditional Core updates instead of locked entities, a unique index and on-conflict-do-nothing for the ledger, a LoggerAdapter.",
         edits=[
             (SERVICE, "", OK2_SERVICE),
             (REPOSITORY, "from sqlalchemy import select\nfrom sqlalchemy.orm import Session\n\nfrom backoffice.domain import model\n", OK2_REPOSITORY_IMPORT),
             (REPOSITORY, '''        return self.session.get(model.Payout, (claim_no, instalment), with_for_update=True)


class Ledger(Repository):
    def book_payout(self, payout: model.Payout) -> None:
        self.add(model.LedgerEntry(payout.claim_no, payout.instalment, "claims-paid", payout.amount_cents))
        self.add(model.LedgerEntry(payout.claim_no, payout.instalment, "bank", -payout.amount_cents))
''', OK2_PAYOUTS),
             (ORM, '''    Column("booked_at", DateTime(timezone=True), nullable=False),
''', '''    Column("booked_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("claim_no", "instalment", "account"),
'''),
         ]),
    dict(id="ok-3", kind="correct", job="pay-instalment",
         what="The idempotency key is random, but drawn once and committed with the payout before the bank is called; the job is cut into prepare, settle and refuse.",
         edits=[
             (SERVICE, "", OK3_SERVICE),
             (MODEL, '''        self.payment_id = None
''', '''        self.bank_key = None
        self.payment_id = None
'''),
             (MODEL, '''    @property
    def bank_key(self) -> str:
        return f"claim-{self.claim_no}-{self.instalment}"

''', ""),
             (ORM, '''    Column("payment_id", String(64)),
''', '''    Column("bank_key", String(64), unique=True),
    Column("payment_id", String(64)),
'''),
         ]),
    dict(id="bad-key-per-attempt", kind="mistake", job="pay-instalment",
         what="The idempotency key is a new uuid on each attempt, so a retry after a timeout pays again.",
         edits=[
             (SERVICE, "import logging\n", "import logging\nimport uuid\n"),
             (SERVICE, '"idempotency_key": payout.bank_key,', '"idempotency_key": str(uuid.uuid4()),'),
         ]),
    dict(id="bad-key-per-claim", kind="mistake", job="pay-instalment",
         what="The bank's key names the claim only, so the second instalment is taken for a repetition of the first and never paid.",
         edits=[(MODEL, 'return f"claim-{self.claim_no}-{self.instalment}"', 'return f"claim-{self.claim_no}"')]),
    dict(id="bad-retry-when", kind="mistake", job="pay-instalment",
         what="retry_when was added to retry only what is worth it; in Dramatiq it replaces max_retries, so an outage is retried for ever and never buried.",
         edits=[
             (ACTORS, "from backoffice.adapters.bank import BankApi, BankRejected\n", "from backoffice.adapters.bank import BankApi, BankRejected, BankUnavailable\n"),
             (ACTORS, "    throws=(InvalidCommand, ClaimNotPayable, BankRejected),\n",
              "    retry_when=lambda retries, error: isinstance(error, BankUnavailable),\n    throws=(InvalidCommand, ClaimNotPayable, BankRejected),\n"),
         ]),
    dict(id="bad-log-extra", kind="mistake", job="pay-instalment",
         what="extra= has a field 'message', which logging refuses with a KeyError: the rejection is not stored, and the permanent error is retried as a KeyError.",
         edits=[(SERVICE, 'extra={**fields, "code": error.code}', 'extra={**fields, "code": error.code, "message": str(error)}')]),
    dict(id="bad-paid-first", kind="mistake", job="pay-instalment",
         what="The payout is marked as paid and booked before the bank is called, to keep others out; after an error the retry finds it paid.",
         edits=[
             (SERVICE, '''            "idempotency_key": payout.bank_key,
        }
''', '''            "idempotency_key": payout.bank_key,
        }
        # taken: nobody else may pay this one
        payout.status = PAID
        uow.ledger.book_payout(payout)
        uow.commit()
'''),
             (SERVICE, '''            if payout.status == APPROVED:
                payout.reject(error.code)
''', '''            payout.reject(error.code)
'''),
             (SERVICE, '''        if payout.status != PAID:
            payout.mark_paid(receipt["payment_id"])
            uow.ledger.book_payout(payout)
''', '''        payout.mark_paid(receipt["payment_id"])
'''),
         ]),
    dict(id="bad-middleware-order", kind="mistake", job="pay-instalment",
         what="The dead letter middleware is appended behind Retries; after-hooks run in reverse, so it looks before Retries has failed the message, and nothing is ever kept.",
         edits=[(BROKER, '''    # after-hooks run last to first: Retries must have decided before DeadLetters looks
    broker.add_middleware(DeadLetters(), before=Retries)
''', '''    broker.add_middleware(DeadLetters())
'''), (BROKER, "from dramatiq.middleware import Middleware, Retries\n", "from dramatiq.middleware import Middleware\n")]),
    dict(id="bad-two-units", kind="mistake", job="pay-instalment",
         what="The ledger is booked in a unit of work of its own before the payout is marked as paid; a death between them, or a second worker, books twice.",
         edits=[
             ("backoffice/service/accounting.py", "", M7_ACCOUNTING),
             (SERVICE, "from backoffice.service.unit_of_work import UnitOfWork\n", "from backoffice.service import accounting\nfrom backoffice.service.unit_of_work import UnitOfWork\n"),
             (SERVICE, '''    with uow:
        payout = uow.payouts.get(command.claim_no, command.instalment)
        if payout.status != PAID:
            payout.mark_paid(receipt["payment_id"])
            uow.ledger.book_payout(payout)
''', '''    accounting.book_payout(command.claim_no, command.instalment)
    with uow:
        payout = uow.payouts.get(command.claim_no, command.instalment)
        if payout.status != PAID:
            payout.mark_paid(receipt["payment_id"])
'''),
         ]),
]
