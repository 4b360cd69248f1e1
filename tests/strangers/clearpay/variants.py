"""Versions of base: edits are (path, old text, new text); an empty old text writes the file new."""

OK1_TASKS = '''"""Celery's own means: autoretry_for tries again, on_failure writes the dead letter."""
import json
import logging
from hashlib import sha256

from celery import Task
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError
from sqlalchemy.exc import OperationalError

from . import clock, payouts, periods
from .app import app
from .bank import AlreadyExecuted, BankClient, BankUnavailable
from .settings import settings

logger = logging.getLogger("clearpay.jobs")


class BadMessage(Exception):
    pass


class PayClaim(BaseModel):
    model_config = ConfigDict(extra="forbid")
    claim_id: StrictInt = Field(ge=1, le=2**53)


class ClosePeriod(BaseModel):
    model_config = ConfigDict(extra="forbid")


def read(kind, message):
    try:
        return kind.model_validate(message)
    except ValidationError as exc:
        faults = ", ".join(f"{'.'.join(map(str, e['loc']))}: {e['type']}" for e in exc.errors())
        raise BadMessage(faults) from None


class Job(Task):
    autoretry_for = (BankUnavailable, OperationalError)
    max_retries = settings.max_attempts - 1
    retry_backoff = settings.first_wait
    retry_backoff_max = settings.longest_wait
    retry_jitter = False
    job = "?"

    def key(self, message):
        return "-"

    def bury(self, message, why):
        raise NotImplementedError

    def say(self, level, message, outcome, **more):
        about = dict(job=self.job, job_id=self.request.id, key=self.key(message), attempt=self.request.retries + 1)
        logger.log(level, json.dumps({**about, "outcome": outcome, **more}))

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        self.say(logging.WARNING, kwargs, "retry", reason=brief(exc))

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        for left in (2, 1, 0):
            try:
                buried = self.bury(kwargs, brief(exc))
                break
            except OperationalError:
                if not left:
                    raise
        self.say(logging.ERROR, kwargs, "dead" if buried else "nothing to do", reason=brief(exc))


class PayClaimJob(Job):
    job = "pay-claim"

    def key(self, message):
        try:
            return str(read(PayClaim, message).claim_id)
        except BadMessage:
            return "bad-" + sha256(json.dumps(message, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def bury(self, message, why):
        return payouts.bury(self.key(message), message, why)


class ClosePeriodJob(Job):
    job = "close-period"

    def bury(self, message, why):
        return periods.bury(message, clock.today(), why)


@app.task(bind=True, base=PayClaimJob, name="clearpay.pay_claim")
def pay_claim(self, **message):
    self.say(logging.INFO, message, "started")
    claim_id = read(PayClaim, message).claim_id
    payout = payouts.begin(claim_id)
    if payout is None:
        return self.say(logging.INFO, message, "nothing to do")
    bank_ref = order(payout)
    payouts.settle(claim_id, bank_ref)
    self.say(logging.INFO, message, "paid", bank_ref=bank_ref)


@app.task(bind=True, base=ClosePeriodJob, name="clearpay.close_period")
def close_period(self, **message):
    self.say(logging.INFO, message, "started")
    read(ClosePeriod, message)
    closed = periods.close_ended(clock.today())
    self.say(logging.INFO, message, "closed", periods=closed)


def order(payout):
    try:
        return BankClient().pay(
            iban=payout.iban, amount_cents=payout.amount_cents, idempotency_key=payout.reference
        )
    except AlreadyExecuted as done:
        return done.bank_ref


def brief(exc):
    return f"{type(exc).__name__}: {exc}".splitlines()[0][:200]
'''

OK2_LOCKS = '''"""One worker at a time per claim. The kernel lets go when a process dies; all workers run on one host."""
import fcntl
from contextlib import contextmanager
from pathlib import Path

from .settings import settings


class Busy(Exception):
    """Another worker is at this claim."""


@contextmanager
def held(name: str):
    folder = Path(settings.lock_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{name}.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(name) from None
        yield
'''

VARIANTS = [
    {
        "id": "ok-autoretry", "kind": "correct", "job": "pay-claim",
        "what": "Task classes: autoretry_for tries again, on_failure buries (three tries of its own); standard logging; the unique posting, not the payout's status, decides who settles",
        "edits": [
            ("clearpay/tasks.py", "", OK1_TASKS),
            ("clearpay/payouts.py", '''        changed = db.execute(
            update(Payout)
            .where(Payout.claim_id == claim_id, Payout.status != "paid")
            .values(status="paid", bank_ref=bank_ref)
        ).rowcount
        if not changed:
            return False
        payout, claim = db.get(Payout, claim_id), db.get(Claim, claim_id)
        claim.status = "paid"
        db.add(
            Posting(
                claim_id=claim_id,
                employee_id=claim.employee_id,
                amount_cents=payout.amount_cents,
                booked_on=clock.today(),
            )
        )
''', '''        posted = db.execute(
            insert(Posting)
            .from_select(
                ["claim_id", "employee_id", "amount_cents", "booked_on"],
                select(Payout.claim_id, Claim.employee_id, Payout.amount_cents, literal(clock.today()))
                .join(Claim, Claim.id == Payout.claim_id)
                .where(Payout.claim_id == claim_id),
            )
            .on_conflict_do_nothing(index_elements=["claim_id"])
        ).rowcount
        if not posted:
            return False
        db.execute(
            update(Payout).where(Payout.claim_id == claim_id).values(status="paid", bank_ref=bank_ref)
        )
        db.execute(update(Claim).where(Claim.id == claim_id).values(status="paid"))
'''),
            ("clearpay/payouts.py", "from sqlalchemy import String, cast, delete, select, update", "from sqlalchemy import String, cast, delete, literal, select, update"),
            (".skillrun/jobs/pay-claim.yaml", "store: table payouts (status)", "store: 'table postings (unique claim_id)'"),
        ],
    },
    {
        "id": "ok-flock", "kind": "correct", "job": "pay-claim",
        "what": "A lock file per claim around begin, payment and books; Busy is tried again like any passing error; the message of an approval goes through an outbox table",
        "edits": [
            ("clearpay/locks.py", "", OK2_LOCKS),
            ("clearpay/settings.py", '''    max_attempts: int = 6
''', '''    lock_dir: str = "locks"
    max_attempts: int = 6
'''),
            ("clearpay/tasks.py", "from . import clock, payouts, periods\n", "from . import clock, locks, payouts, periods\n"),
            ("clearpay/tasks.py", "PASSING = (BankUnavailable, OperationalError)", "PASSING = (BankUnavailable, OperationalError, locks.Busy)"),
            ("clearpay/tasks.py", '''        payout = payouts.begin(claim_id)
        if payout is None:
            log.info("job ended", outcome="nothing to do")
            return
        try:
            bank_ref = BankClient().pay(
                iban=payout.iban, amount_cents=payout.amount_cents, idempotency_key=payout.reference
            )
        except AlreadyExecuted as done:
            bank_ref = done.bank_ref
        payouts.settle(claim_id, bank_ref)
''', '''        with locks.held(f"claim-{claim_id}"):
            bank_ref = disburse(claim_id)
        if bank_ref is None:
            log.info("job ended", outcome="nothing to do")
            return
'''),
            ("clearpay/tasks.py", '''def key_of(message: dict) -> str:
''', '''def disburse(claim_id: int) -> str | None:
    payout = payouts.begin(claim_id)
    if payout is None:
        return None
    try:
        bank_ref = BankClient().pay(
            iban=payout.iban, amount_cents=payout.amount_cents, idempotency_key=payout.reference
        )
    except AlreadyExecuted as done:
        bank_ref = done.bank_ref
    payouts.settle(claim_id, bank_ref)
    return bank_ref


def key_of(message: dict) -> str:
'''),
            ("clearpay/models.py", '''class Posting(Base):
''', '''class Outbox(Base):
    __tablename__ = "outbox"
    id: Mapped[int] = mapped_column(primary_key=True)
    claim_id: Mapped[int]


class Posting(Base):
'''),
            ("clearpay/approvals.py", "import Claim, DeadLetter, Employee, Payout, Session", "import Claim, DeadLetter, Employee, Outbox, Payout, Session"),
            ("clearpay/approvals.py", "from sqlalchemy import delete, or_, select, update", "from sqlalchemy import delete, select, update"),
            ("clearpay/approvals.py", '''                    status="pending",
                    starts=0,
                )
            )
''', '''                    status="pending",
                    starts=0,
                    moved_at=clock.now(),
                )
            )
            db.add(Outbox(claim_id=claim_id))
'''),
            ("clearpay/approvals.py", '''        db.execute(
            update(Payout)
            .where(Payout.claim_id == claim_id, Payout.status == "failed")
            .values(status="pending", starts=0, moved_at=None)
        )
''', '''        revived = db.execute(
            update(Payout)
            .where(Payout.claim_id == claim_id, Payout.status == "failed")
            .values(status="pending", starts=0, moved_at=clock.now())
        ).rowcount
        if revived:
            db.add(Outbox(claim_id=claim_id))
'''),
            ("clearpay/approvals.py", '''    with Session() as db:
        due = db.scalars(
            select(Payout.claim_id)
            .where(Payout.status == "pending", or_(Payout.moved_at.is_(None), Payout.moved_at < stale))
            .order_by(Payout.claim_id)
        ).all()
    for claim_id in due:
        pay_claim.apply_async(kwargs={"claim_id": claim_id})
        with Session.begin() as db:
            db.execute(update(Payout).where(Payout.claim_id == claim_id).values(moved_at=clock.now()))
    return len(due)
''', '''    with Session.begin() as db:
        stalled = db.scalars(
            update(Payout)
            .where(Payout.status == "pending", Payout.moved_at < stale)
            .values(moved_at=clock.now())
            .returning(Payout.claim_id)
            .execution_options(synchronize_session=False)
        ).all()
        db.add_all(Outbox(claim_id=claim_id) for claim_id in stalled)
    with Session() as db:
        due = db.execute(select(Outbox.id, Outbox.claim_id).order_by(Outbox.id)).all()
    for row in due:
        pay_claim.apply_async(kwargs={"claim_id": row.claim_id})
        with Session.begin() as db:
            db.execute(delete(Outbox).where(Outbox.id == row.id))
    return len(due)
'''),
            (".skillrun/jobs/pay-claim.yaml", '''    - {type: "clearpay.bank:BankUnavailable", args: ["503"], effects: [payment]}
''', '''    - {type: "clearpay.bank:BankUnavailable", args: ["503"], effects: [payment]}
    - {type: "clearpay.locks:Busy", args: [claim-1], effects: []}
'''),
            (".skillrun/jobs/pay-claim.yaml", '''    CLEARPAY_BROKER_URL: memory://
''', '''    CLEARPAY_BROKER_URL: memory://
    CLEARPAY_LOCK_DIR: "{scratch}/locks"
'''),
            (".skillrun/jobs/pay-claim.yaml", '''  dead_letters: select''', '''  scratch_files: ["locks/*"]
  dead_letters: select'''),
        ],
    },
    {
        "id": "m-order-key", "kind": "mistake", "job": "pay-claim",
        "what": "Promise: effect keyed / recovers (not done again where it was). The key is the reference and Celery's task id, so that support can find the order in the log. "
                "The worker dies after the bank has paid and its message is lost (or the retry after a lost answer cannot be published); the sweep publishes the still pending "
                "payout under a new task id; the bank sees a new key and pays a second time",
        "edits": [
            ("clearpay/tasks.py", '''            bank_ref = BankClient().pay(
                iban=payout.iban, amount_cents=payout.amount_cents, idempotency_key=payout.reference
            )
''', '''            bank_ref = BankClient().pay(
                iban=payout.iban,
                amount_cents=payout.amount_cents,
                idempotency_key=f"{payout.reference}-{self.request.id}",  # same id on every retry; support greps for it
            )
'''),
            ("tests/test_pay_claim.py", '''    assert orders[0] == [("CH9300762011623852957", 12450, "CP-1")]
''', '''    assert [order[:2] for order in orders[0]] == [("CH9300762011623852957", 12450)]
'''),
            ("tests/test_pay_claim.py", '''{key for _, _, key in orders[0]} == {"CP-1"} and''', '''len({key for _, _, key in orders[0]}) == 1 and'''),
        ],
    },
    {
        "id": "m-paying", "kind": "mistake", "job": "pay-claim",
        "what": "Promise: a death loses nothing. begin takes the payout from pending to paying so that two workers never order at once, and gives it back on passing errors; "
                "a worker killed between begin and settle leaves 'paying': the redelivery finds nothing to do and is acknowledged, the sweep looks for pending alone: never paid, no dead letter",
        "edits": [
            ("clearpay/payouts.py", '''        db.execute(
            update(Payout)
            .where(Payout.claim_id == claim_id, Payout.status == "pending")
            .values(starts=Payout.starts + 1, moved_at=clock.now())
        )
        payout = db.get(Payout, claim_id)
    if payout is None:
        raise UnknownPayout(f"claim {claim_id} has no payout")
    if payout.status != "pending":
        return None
''', '''        taken = db.execute(
            update(Payout)
            .where(Payout.claim_id == claim_id, Payout.status == "pending")
            .values(status="paying", starts=Payout.starts + 1, moved_at=clock.now())
        ).rowcount
        payout = db.get(Payout, claim_id)
    if payout is None:
        raise UnknownPayout(f"claim {claim_id} has no payout")
    if not taken:
        return None
'''),
            ("clearpay/payouts.py", '''def settle(claim_id: int, bank_ref: str) -> bool:
''', '''def release(key: str) -> None:
    """Hand the payout back for the next attempt."""
    with Session.begin() as db:
        db.execute(
            update(Payout)
            .where(cast(Payout.claim_id, String) == key, Payout.status == "paying")
            .values(status="pending")
        )


def settle(claim_id: int, bank_ref: str) -> bool:
'''),
            ("clearpay/payouts.py", '''            .where(cast(Payout.claim_id, String) == key, Payout.status == "pending")
            .values(status="failed")
''', '''            .where(cast(Payout.claim_id, String) == key, Payout.status.in_(["pending", "paying"]))
            .values(status="failed")
'''),
            ("clearpay/tasks.py", '''        again(self, log, exc, lambda: payouts.bury(key_of(message), message, reason(exc)))
''', '''        payouts.release(key_of(message))
        again(self, log, exc, lambda: payouts.bury(key_of(message), message, reason(exc)))
'''),
            ("clearpay/models.py", "# pending, paid, failed", "# pending, paying, paid, failed"),
        ],
    },
    {
        "id": "m-last-word", "kind": "mistake", "job": "pay-claim",
        "what": "Promise: the state is that of one undisturbed run. bury no longer looks whether another delivery has paid: two deliveries run at once, the one pays and settles, "
                "the other's order is refused (or its last attempt times out): payout 'failed' and a dead letter for a claim that is paid and posted",
        "edits": [
            ("clearpay/payouts.py", '''    """One dead letter, unless another delivery has paid meanwhile. The key of a
    message that could not be read is no claim's."""
''', '''    """One dead letter. The key of a message that could not be read is no claim's."""
'''),
            ("clearpay/payouts.py", '''            .where(cast(Payout.claim_id, String) == key, Payout.status == "pending")
            .values(status="failed")
        )
        if db.scalar(select(Payout.status).where(cast(Payout.claim_id, String) == key)) == "paid":
            return False
''', '''            .where(cast(Payout.claim_id, String) == key)
            .values(status="failed")
        )
'''),
            ("clearpay/payouts.py", "from sqlalchemy import String, cast, delete, select, update", "from sqlalchemy import String, cast, delete, update"),
        ],
    },
    {
        "id": "m-close-split", "kind": "mistake", "job": "close-period",
        "what": "Promise (invariant): a period is closed once together with its lines and successor. The status is committed first, to let pay-claim write on; postings, lines and the next period "
                "follow in a second transaction. Killed or locked out between the two: the period is closed without lines and without a successor, and no later run looks at it again",
        "edits": [
            ("clearpay/periods.py", '''    """Closes the oldest open period that has ended, all of it or nothing."""
''', '''    """Closes the oldest open period that has ended."""
'''),
            ("clearpay/periods.py", '''        if period is None:
            return False
        db.execute(
''', '''    if period is None:
        return False
    with Session.begin() as db:  # the sums take a while; pay-claim may write in between
        db.execute(
'''),
        ],
    },
]
