VARIANTS = [
    {
        "id": "ok_receipts",
        "kind": "correct",
        "job": "submit-claim",
        "what": "Another dedupe store (an append-only table of receipts, one row a claim, first reference stands), another lock (BEGIN IMMEDIATE on every unit of work, rows are read and changed as objects instead of conditional updates), another layering (a UnitOfWork with repositories; retries by autoretry_for with Celery's own backoff, logged in on_retry), LoggerAdapter. The key at the insurer stays the row's submission_key; receipt and status are one transaction, so are dead letter and status.",
        "edits": [
            (
                ".skillrun/jobs/submit-claim.yaml",
'''\
  dedupe: {store: table claims (status)}
effects:
  - name: submit
    call: requests:Session.post
    key_arg: headers.Idempotency-Key
    window: 7d
    guarantee: keyed
    returns: {reference: KK-2026-1}
failures:
  transient:
    - {type: "requests:HTTPError", args: [503], effects: [submit]}
    - {type: "requests:HTTPError", args: [409], effects: [submit]}
    - {type: "requests:HTTPError", args: [429], effects: [submit], unsent: true}
    - {type: "requests:ReadTimeout", args: [timed out], effects: [submit]}
    - {type: "requests:ConnectTimeout", args: [timed out], effects: [submit], unsent: true}
    - {type: "requests:ConnectionError", args: [connection reset], effects: [submit]}
    - {type: "sqlalchemy.exc:OperationalError", args: [update, null, null], effects: []}
  permanent:
    - {type: "requests:HTTPError", args: [422], effects: [submit], unsent: true}
    - {type: "apotheke.claims:UnknownClaim", args: [no claim 77], effects: []}
    - {type: "apotheke.claims:NotReleased", args: [claim 1 is a draft], effects: []}
    - {type: "apotheke.claims:TooManyStarts", args: [11 starts and no end], effects: []}
    - {type: "apotheke.claims:TooLate", args: [released too long ago], effects: []}
    - {type: "apotheke.tasks:BadMessage", args: [claim_id is a positive integer], effects: []}
  acceptable_delay: 2d
retry:
  max_attempts: 5
  backoff: {kind: exponential, base: 30s, factor: 3, cap: 480s}
dead_letter: {kind: table, where: dead_letters}
worker: {deliveries: 12}
proof:
  env:
    APOTHEKE_DATABASE_URL: "sqlite:///{scratch}/apotheke.db"
    APOTHEKE_BROKER_URL: memory://
    APOTHEKE_INSURER_URL: http://insurer.invalid/kk
    APOTHEKE_INSURER_TOKEN: proof
  setup: python -m apotheke.manage demo
  database: "{scratch}/apotheke.db"
  state:
    claims: select id, status, submission_key, insurer_ref from claims order by id
''',
'''\
  dedupe: {store: table receipts}
effects:
  - name: submit
    call: requests:Session.post
    key_arg: headers.Idempotency-Key
    window: 7d
    guarantee: keyed
    returns: {reference: KK-2026-1}
failures:
  transient:
    - {type: "requests:HTTPError", args: [503], effects: [submit]}
    - {type: "requests:HTTPError", args: [409], effects: [submit]}
    - {type: "requests:HTTPError", args: [429], effects: [submit], unsent: true}
    - {type: "requests:ReadTimeout", args: [timed out], effects: [submit]}
    - {type: "requests:ConnectTimeout", args: [timed out], effects: [submit], unsent: true}
    - {type: "requests:ConnectionError", args: [connection reset], effects: [submit]}
    - {type: "sqlalchemy.exc:OperationalError", args: [update, null, null], effects: []}
  permanent:
    - {type: "requests:HTTPError", args: [422], effects: [submit], unsent: true}
    - {type: "apotheke.claims:UnknownClaim", args: [no claim 77], effects: []}
    - {type: "apotheke.claims:NotReleased", args: [claim 1 is a draft], effects: []}
    - {type: "apotheke.claims:TooManyStarts", args: [11 starts and no end], effects: []}
    - {type: "apotheke.claims:TooLate", args: [released too long ago], effects: []}
    - {type: "apotheke.tasks:BadMessage", args: [claim_id is a positive integer], effects: []}
  acceptable_delay: 2d
retry:
  max_attempts: 5
  backoff: {kind: exponential, base: 30s, factor: 2, cap: 480s}
dead_letter: {kind: table, where: dead_letters}
worker: {deliveries: 12}
proof:
  env:
    APOTHEKE_DATABASE_URL: "sqlite:///{scratch}/apotheke.db"
    APOTHEKE_BROKER_URL: memory://
    APOTHEKE_INSURER_URL: http://insurer.invalid/kk
    APOTHEKE_INSURER_TOKEN: proof
  setup: python -m apotheke.manage demo
  database: "{scratch}/apotheke.db"
  state:
    claims: select id, status, submission_key, insurer_ref from claims order by id
    receipts: select claim_id, insurer_ref from receipts order by 1
''',
            ),
            (
                "README.md",
'''\
* The insurer away (no answer, 5xx, 401, 403, 408, 409, 425, 429), or our database: five attempts, after 30, 90, 270 and
  480 seconds. Everything else ends at once.
''',
'''\
* The insurer away (no answer, 5xx, 401, 403, 408, 409, 425, 429), or our database: five attempts, after 30, 60, 120 and
  240 seconds. Everything else ends at once.
* What the insurer has is a row in `receipts`, one for each claim.
''',
            ),
            (
                "apotheke/claims.py",
'''\
"""What the back office does with claims. Each method is one transaction."""
from datetime import datetime

from sqlalchemy.orm import Session, sessionmaker

from apotheke import config
from apotheke.db import sessions
from apotheke.model import Claim, ClaimStatus, now
from apotheke.repositories import ClaimRepository, DeadLetterRepository


class UnknownClaim(Exception):
    pass


class NotReleased(Exception):
    pass


class TooLate(Exception):
    pass


class TooManyStarts(Exception):
    pass


class ClaimService:
    def __init__(self, factory: sessionmaker[Session] | None = None):
        self._factory = factory or sessions()

    def release(self, claim_id: int) -> bool:
        """The pharmacist has signed. False if that had been done before."""
        moment = now()
        with self._factory.begin() as session:
            claims = ClaimRepository(session)
            released = claims.change(
                claim_id, ClaimStatus.DRAFT, status=ClaimStatus.RELEASED, released_at=moment, due_at=moment
            )
            if not released and claims.get(claim_id) is None:
                raise UnknownClaim(f"no claim {claim_id}")
        return released

    def start(self, claim_id: int) -> Claim | None:
        """The claim, one start richer, or None where nothing is left to do."""
        moment = now()
        with self._factory.begin() as session:
            claims = ClaimRepository(session)
            claims.change(
                claim_id, ClaimStatus.RELEASED, starts=Claim.starts + 1, due_at=moment + config.STALL_AFTER
            )
            claim = claims.get(claim_id)
        if claim is None:
            raise UnknownClaim(f"no claim {claim_id}")
        if claim.status is ClaimStatus.DRAFT:
            raise NotReleased(f"claim {claim_id} is a draft")
        if claim.status is not ClaimStatus.RELEASED:
            return None
        if claim.starts > config.SUBMIT_MAX_STARTS:
            raise TooManyStarts(f"{claim.starts - 1} starts and no end")
        if claim.released_at < moment - config.SUBMIT_WITHIN:
            raise TooLate("released too long ago")
        return claim

    def accept(self, claim_id: int, insurer_ref: str) -> bool:
        """What the insurer has, it has, even if another delivery has given up meanwhile."""
        with self._factory.begin() as session:
            moved = ClaimRepository(session).change(
                claim_id,
                ClaimStatus.RELEASED,
                ClaimStatus.FAILED,
                status=ClaimStatus.ACCEPTED,
                insurer_ref=insurer_ref,
                due_at=None,
            )
            if moved:
                DeadLetterRepository(session).drop(str(claim_id))
        return moved

    def fail(self, claim_id: int | None, letter: dict) -> bool:
        """The dead letter, together with the claim if there is one. False if it was over before."""
        with self._factory.begin() as session:
            claims = ClaimRepository(session)
            if claim_id is not None and not claims.change(
                claim_id, ClaimStatus.RELEASED, status=ClaimStatus.FAILED, due_at=None
            ):
                claim = claims.get(claim_id)
                if claim is not None and claim.status is not ClaimStatus.DRAFT:
                    return False
            return DeadLetterRepository(session).add(**letter)

    def stalled(self, moment: datetime | None = None) -> list[int]:
        with self._factory() as session:
            return ClaimRepository(session).stalled(moment or now())

    def published(self, claim_id: int) -> None:
        with self._factory.begin() as session:
            ClaimRepository(session).change(claim_id, ClaimStatus.RELEASED, due_at=now() + config.STALL_AFTER)
''',
'''\
"""What the back office does with claims. Each method is one unit of work."""
from datetime import datetime

from apotheke import config
from apotheke.db import sessions
from apotheke.model import Claim, ClaimStatus, now
from apotheke.repositories import UnitOfWork


class UnknownClaim(Exception):
    pass


class NotReleased(Exception):
    pass


class TooLate(Exception):
    pass


class TooManyStarts(Exception):
    pass


class ClaimService:
    def __init__(self, work: UnitOfWork | None = None):
        self._work = work or UnitOfWork(sessions())

    def release(self, claim_id: int) -> bool:
        """The pharmacist has signed. False if that had been done before."""
        with self._work as work:
            claim = work.claims.get(claim_id)
            if claim is None:
                raise UnknownClaim(f"no claim {claim_id}")
            if claim.status is not ClaimStatus.DRAFT:
                return False
            claim.status = ClaimStatus.RELEASED
            claim.released_at = claim.due_at = now()
        return True

    def start(self, claim_id: int) -> Claim | None:
        """The claim, one start richer, or None where nothing is left to do."""
        moment = now()
        with self._work as work:
            claim = work.claims.get(claim_id)
            if claim is None:
                raise UnknownClaim(f"no claim {claim_id}")
            if claim.status is ClaimStatus.DRAFT:
                raise NotReleased(f"claim {claim_id} is a draft")
            if claim.status is not ClaimStatus.RELEASED or work.receipts.has(claim_id):
                return None
            claim.starts += 1
            claim.due_at = moment + config.STALL_AFTER
        if claim.starts > config.SUBMIT_MAX_STARTS:
            raise TooManyStarts(f"{claim.starts - 1} starts and no end")
        if claim.released_at < moment - config.SUBMIT_WITHIN:
            raise TooLate("released too long ago")
        return claim

    def accept(self, claim_id: int, insurer_ref: str) -> bool:
        """What the insurer has, it has, even if another delivery has given up meanwhile."""
        with self._work as work:
            if work.receipts.has(claim_id):
                return False
            work.receipts.add(claim_id, insurer_ref)
            work.dead_letters.drop(str(claim_id))
            claim = work.claims.get(claim_id)
            claim.status, claim.insurer_ref, claim.due_at = ClaimStatus.ACCEPTED, insurer_ref, None
        return True

    def fail(self, claim_id: int | None, letter: dict) -> bool:
        """The dead letter, together with the claim if there is one. False if it was over before."""
        with self._work as work:
            claim = None if claim_id is None else work.claims.get(claim_id)
            if claim is not None and claim.status is not ClaimStatus.DRAFT:
                if claim.status is not ClaimStatus.RELEASED or work.receipts.has(claim_id):
                    return False
                claim.status, claim.due_at = ClaimStatus.FAILED, None
            known = work.dead_letters.has(letter["key"])
            if not known:
                work.dead_letters.add(letter)
        return not known

    def stalled(self, moment: datetime | None = None) -> list[int]:
        with self._work as work:
            return work.claims.stalled(moment or now())

    def published(self, claim_id: int) -> None:
        with self._work as work:
            claim = work.claims.get(claim_id)
            if claim.status is ClaimStatus.RELEASED:
                claim.due_at = now() + config.STALL_AFTER
''',
            ),
            (
                "apotheke/config.py",
'''\
SUBMIT_FACTOR = 3
''',
'',
            ),
            (
                "apotheke/db.py",
'''\
from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

from apotheke import config


@lru_cache(maxsize=1)
def engine():
    return create_engine(config.DATABASE_URL, connect_args={"timeout": 20}, hide_parameters=True)
''',
'''\
from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session, sessionmaker

from apotheke import config


@lru_cache(maxsize=1)
def engine():
    made = create_engine(config.DATABASE_URL, connect_args={"timeout": 20}, hide_parameters=True)

    @event.listens_for(made, "connect")
    def _no_transactions_of_the_driver(connection, _):
        connection.isolation_level = None

    @event.listens_for(made, "begin")
    def _one_at_a_time(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return made
''',
            ),
            (
                "apotheke/house.py",
'''\


def insist(write, *args, tries: int = 3):
    """What has been decided is written down, even if the store stumbles."""
    for left in reversed(range(tries)):
        try:
            return write(*args)
        except STORE_TROUBLE:
            if not left:
                raise


def reason_of(error: BaseException) -> str:
    """Statements carry their parameters with them, and these are nobody's business."""
    if isinstance(error, DBAPIError):
        return f"{type(error).__name__}: {type(error.orig).__name__}"
    return f"{type(error).__name__}: {error}"[:200]


class HouseTask(Task):
    abstract = True
    acks_late = True
    reject_on_worker_lost = True
    ignore_result = True
    job = ""
    log = logging.getLogger("apotheke.jobs")

    def key(self, message: dict) -> str | None:
        """The key of a well-formed message."""
        raise NotImplementedError

    def bury(self, message: dict, letter: dict) -> bool:
        raise NotImplementedError

    def wait(self) -> int:
        raise NotImplementedError

    def note(self, level: int, text: str, message: dict, outcome: str, **more) -> None:
        extra = {
            "job": self.job,
            "job_id": self.request.id,
            "key": self._key(message),
            "attempt": self.request.retries + 1,
            "outcome": outcome,
            **more,
        }
        self.log.log(level, text, extra=extra)

    def try_again(self, message: dict, error: Exception):
        if self.request.retries >= self.max_retries:
            raise error
        wait = self.wait()
        self.note(logging.WARNING, "will be tried again", message, "retry", wait=wait, reason=reason_of(error))
        raise self.retry(exc=error, countdown=wait)

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        reason = reason_of(exc)
        if args:
            kwargs = {**kwargs, "*": list(args)}
        letter = {"task": self.name, "key": self._key(kwargs), "task_id": task_id, "message": kwargs, "reason": reason}
        buried = insist(self.bury, kwargs, letter)
        self.note(logging.ERROR, "given up", kwargs, "dead" if buried else "was_over", reason=reason)
''',
'''\

logger = logging.getLogger("apotheke.jobs")


def insist(write, *args, tries: int = 3):
    """What has been decided is written down, even if the store stumbles."""
    for left in reversed(range(tries)):
        try:
            return write(*args)
        except STORE_TROUBLE:
            if not left:
                raise


def reason_of(error: BaseException) -> str:
    """Statements carry their parameters with them, and these are nobody's business."""
    if isinstance(error, DBAPIError):
        return f"{type(error).__name__}: {type(error.orig).__name__}"
    return f"{type(error).__name__}: {error}"[:200]


class DeliveryLog(logging.LoggerAdapter):
    """Says of each line which delivery it belongs to."""

    def process(self, msg, kwargs):
        return msg, {**kwargs, "extra": {**self.extra, **kwargs.get("extra", {})}}


class HouseTask(Task):
    abstract = True
    acks_late = True
    reject_on_worker_lost = True
    ignore_result = True
    autoretry_for = STORE_TROUBLE
    job = ""

    def key(self, message: dict) -> str | None:
        """The key of a well-formed message."""
        raise NotImplementedError

    def bury(self, message: dict, letter: dict) -> bool:
        raise NotImplementedError

    def log(self, message: dict) -> "DeliveryLog":
        about = {"job": self.job, "job_id": self.request.id, "key": self._key(message)}
        return DeliveryLog(logger, {**about, "attempt": self.request.retries + 1})

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        self.log(kwargs).warning("will be tried again", extra={"outcome": "retry", "reason": reason_of(exc)})

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        reason = reason_of(exc)
        if args:
            kwargs = {**kwargs, "*": list(args)}
        letter = {"task": self.name, "key": self._key(kwargs), "task_id": task_id, "message": kwargs, "reason": reason}
        buried = insist(self.bury, kwargs, letter)
        outcome = "dead" if buried else "was_over"
        self.log(kwargs).error("given up", extra={"outcome": outcome, "reason": reason})
''',
            ),
            (
                "apotheke/model.py",
'''\
from sqlalchemy import JSON, DateTime, Enum, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def now() -> datetime:
    """UTC without a zone, as SQLite keeps it."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


class ClaimStatus(enum.Enum):
    DRAFT = "draft"
    RELEASED = "released"
    ACCEPTED = "accepted"
    FAILED = "failed"


class Base(DeclarativeBase):
    pass


class Claim(Base):
    __tablename__ = "claims"

    id: Mapped[int] = mapped_column(primary_key=True)
    branch: Mapped[str] = mapped_column(String(40))
    insured_no: Mapped[str] = mapped_column(String(20))
    pzn: Mapped[str] = mapped_column(String(8))
    amount_cents: Mapped[int]
    status: Mapped[ClaimStatus] = mapped_column(
        Enum(ClaimStatus, native_enum=False, length=12, values_callable=lambda e: [m.value for m in e]),
        default=ClaimStatus.DRAFT,
    )
    submission_key: Mapped[str] = mapped_column(String(36), default=lambda: str(uuid.uuid4()))
    insurer_ref: Mapped[str | None] = mapped_column(String(64))
    starts: Mapped[int] = mapped_column(default=0)
    released_at: Mapped[datetime | None] = mapped_column(DateTime)
    due_at: Mapped[datetime | None] = mapped_column(DateTime)


''',
'''\
from sqlalchemy import JSON, DateTime, Enum, ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def now() -> datetime:
    """UTC without a zone, as SQLite keeps it."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


class ClaimStatus(enum.Enum):
    DRAFT = "draft"
    RELEASED = "released"
    ACCEPTED = "accepted"
    FAILED = "failed"


class Base(DeclarativeBase):
    pass


class Claim(Base):
    __tablename__ = "claims"

    id: Mapped[int] = mapped_column(primary_key=True)
    branch: Mapped[str] = mapped_column(String(40))
    insured_no: Mapped[str] = mapped_column(String(20))
    pzn: Mapped[str] = mapped_column(String(8))
    amount_cents: Mapped[int]
    status: Mapped[ClaimStatus] = mapped_column(
        Enum(ClaimStatus, native_enum=False, length=12, values_callable=lambda e: [m.value for m in e]),
        default=ClaimStatus.DRAFT,
    )
    submission_key: Mapped[str] = mapped_column(String(36), default=lambda: str(uuid.uuid4()))
    insurer_ref: Mapped[str | None] = mapped_column(String(64))
    starts: Mapped[int] = mapped_column(default=0)
    released_at: Mapped[datetime | None] = mapped_column(DateTime)
    due_at: Mapped[datetime | None] = mapped_column(DateTime)


class Receipt(Base):
    """What the insurer has. One for each claim, and it stays."""

    __tablename__ = "receipts"

    claim_id: Mapped[int] = mapped_column(ForeignKey("claims.id"), primary_key=True, autoincrement=False)
    insurer_ref: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime] = mapped_column(DateTime, default=now)


''',
            ),
            (
                "apotheke/repositories.py",
'''\
"""The only place that knows how claims and dead letters are stored. Transactions belong to the service."""
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from apotheke.model import Claim, ClaimStatus, DeadLetter


class ClaimRepository:
    def __init__(self, session: Session):
        self._session = session

    def get(self, claim_id: int) -> Claim | None:
        return self._session.get(Claim, claim_id, populate_existing=True)

    def stalled(self, moment: datetime) -> list[int]:
        wanted = select(Claim.id).where(Claim.status == ClaimStatus.RELEASED, Claim.due_at <= moment)
        return list(self._session.scalars(wanted.order_by(Claim.due_at, Claim.id)))

    def change(self, claim_id: int, *sources: ClaimStatus, **values) -> bool:
        """Change a claim that is in one of these states; False if it is in none of them."""
        statement = update(Claim).where(Claim.id == claim_id, Claim.status.in_(sources)).values(**values)
        return self._session.execute(statement.execution_options(synchronize_session=False)).rowcount == 1


class DeadLetterRepository:
    def __init__(self, session: Session):
        self._session = session

    def add(self, **letter) -> bool:
        return self._session.execute(insert(DeadLetter).values(**letter).on_conflict_do_nothing()).rowcount == 1

    def drop(self, key: str) -> None:
        self._session.execute(delete(DeadLetter).where(DeadLetter.key == key))
''',
'''\
"""The only place that knows how things are stored. A unit of work holds the write lock from its first statement."""
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, sessionmaker

from apotheke.model import Claim, ClaimStatus, DeadLetter, Receipt


class ClaimRepository:
    def __init__(self, session: Session):
        self._session = session

    def get(self, claim_id: int) -> Claim | None:
        return self._session.get(Claim, claim_id)

    def stalled(self, moment: datetime) -> list[int]:
        received = select(Receipt.claim_id)
        wanted = select(Claim.id).where(
            Claim.status == ClaimStatus.RELEASED, Claim.due_at <= moment, Claim.id.not_in(received)
        )
        return list(self._session.scalars(wanted.order_by(Claim.due_at, Claim.id)))


class ReceiptRepository:
    def __init__(self, session: Session):
        self._session = session

    def has(self, claim_id: int) -> bool:
        return self._session.get(Receipt, claim_id) is not None

    def add(self, claim_id: int, insurer_ref: str) -> None:
        self._session.add(Receipt(claim_id=claim_id, insurer_ref=insurer_ref))


class DeadLetterRepository:
    def __init__(self, session: Session):
        self._session = session

    def has(self, key: str) -> bool:
        return self._session.scalar(select(DeadLetter.id).where(DeadLetter.key == key)) is not None

    def add(self, letter: dict) -> None:
        self._session.add(DeadLetter(**letter))

    def drop(self, key: str) -> None:
        self._session.execute(delete(DeadLetter).where(DeadLetter.key == key))


class UnitOfWork:
    def __init__(self, factory: sessionmaker[Session]):
        self._factory = factory

    def __enter__(self):
        self._transaction = self._factory.begin()
        session = self._transaction.__enter__()
        self.claims = ClaimRepository(session)
        self.receipts = ReceiptRepository(session)
        self.dead_letters = DeadLetterRepository(session)
        return self

    def __exit__(self, *failure):
        return self._transaction.__exit__(*failure)
''',
            ),
            (
                "apotheke/tasks.py",
'''\
import logging

from apotheke import config, desk
from apotheke.celery_app import app
from apotheke.claims import ClaimService
from apotheke.house import STORE_TROUBLE, HouseTask, insist
from apotheke.insurer import InsurerAway, InsurerGateway


class BadMessage(Exception):
    pass


class SubmitClaim(HouseTask):
    """Submit a released claim to the insurer and keep its reference."""

    name = "apotheke.submit_claim"
    job = "submit-claim"
    max_retries = config.SUBMIT_ATTEMPTS - 1

    def run(self, claim_id):
        message = {"claim_id": claim_id}
        if claim_id_of(message) is None:
            raise BadMessage("claim_id is a positive integer")
        self.note(logging.INFO, "claim started", message, "started")
        try:
            service = ClaimService()
            claim = service.start(claim_id)
            if claim is None:
                self.note(logging.INFO, "claim skipped", message, "nothing_to_do")
                return
            reference = InsurerGateway().submit(
                claim.submission_key, claim.insured_no, claim.pzn, claim.amount_cents
            )
            first = insist(service.accept, claim_id, reference)
        except (InsurerAway, *STORE_TROUBLE) as error:
            self.try_again(message, error)
        self.note(
            logging.INFO, "claim accepted", message, "accepted" if first else "known", insurer_ref=reference
        )

    def key(self, message):
        claim_id = claim_id_of(message)
        return None if claim_id is None else str(claim_id)

    def bury(self, message, letter):
        return ClaimService().fail(claim_id_of(message), letter)

    def wait(self):
        return min(config.SUBMIT_FIRST_WAIT * config.SUBMIT_FACTOR**self.request.retries, config.SUBMIT_LONGEST_WAIT)
''',
'''\
from apotheke import config, desk
from apotheke.celery_app import app
from apotheke.claims import ClaimService
from apotheke.house import STORE_TROUBLE, HouseTask, insist
from apotheke.insurer import InsurerAway, InsurerGateway


class BadMessage(Exception):
    pass


class SubmitClaim(HouseTask):
    """Submit a released claim to the insurer and keep its reference."""

    name = "apotheke.submit_claim"
    job = "submit-claim"
    autoretry_for = (InsurerAway, *STORE_TROUBLE)
    max_retries = config.SUBMIT_ATTEMPTS - 1
    retry_backoff = config.SUBMIT_FIRST_WAIT
    retry_backoff_max = config.SUBMIT_LONGEST_WAIT
    retry_jitter = False

    def run(self, claim_id):
        message = {"claim_id": claim_id}
        if claim_id_of(message) is None:
            raise BadMessage("claim_id is a positive integer")
        log = self.log(message)
        log.info("claim started", extra={"outcome": "started"})
        service = ClaimService()
        claim = service.start(claim_id)
        if claim is None:
            log.info("claim skipped", extra={"outcome": "nothing_to_do"})
            return
        reference = InsurerGateway().submit(claim.submission_key, claim.insured_no, claim.pzn, claim.amount_cents)
        first = insist(service.accept, claim_id, reference)
        log.info("claim accepted", extra={"outcome": "accepted" if first else "known", "insurer_ref": reference})

    def key(self, message):
        claim_id = claim_id_of(message)
        return None if claim_id is None else str(claim_id)

    def bury(self, message, letter):
        return ClaimService().fail(claim_id_of(message), letter)
''',
            ),
        ],
    },
    {
        "id": "m_task_id_key",
        "kind": "mistake",
        "job": "submit-claim",
        "what": "The Idempotency-Key is the Celery task id, which stays the same through retries but not through requeue_stalled or a second publish. Breaks effects.submit (keyed): one submission per claim_id. Sequence: the insurer takes the claim, the answer is lost; the message is lost as well (Redis is away when self.retry publishes, Celery rejects it without requeue); 15 minutes later requeue_stalled publishes a new message with a new id; the insurer takes the claim a second time. Also: release publishes and dies before it notes it, the sweep publishes again, two workers post at once under two keys.",
        "edits": [
            (
                "apotheke/tasks.py",
'''\
                claim.submission_key, claim.insured_no, claim.pzn, claim.amount_cents
''',
'''\
                self.request.id, claim.insured_no, claim.pzn, claim.amount_cents
''',
            ),
            (
                "README.md",
'''\
* The claim's row has its `submission_key` from the day it was typed in; it is the `Idempotency-Key` of
  every attempt. The insurer answers''',
'''\
* The task's id is the `Idempotency-Key` of every attempt, so that a call can be found in our logs by
  what the insurer has logged. The insurer answers''',
            ),
        ],
    },
    {
        "id": "m_letter_apart",
        "kind": "mistake",
        "job": "submit-claim",
        "what": "The claim becomes failed in one transaction, its dead letter is written in a second one. Breaks dead_letter: every job that is given up has its row. Sequence: the insurer refuses with 422 (or the fifth attempt fails); the status is committed; the store fails at the insert, or the worker is killed before it; the second try of insist, the redelivery and the sweep all see a claim that is failed already and return; there is no dead letter, nobody calls the insurer.",
        "edits": [
            (
                "apotheke/claims.py",
'''\
                if claim is not None and claim.status is not ClaimStatus.DRAFT:
                    return False
            return DeadLetterRepository(session).add(**letter)
''',
'''\
                if claim is not None and claim.status is not ClaimStatus.DRAFT:
                    return False
        with self._factory.begin() as session:
            return DeadLetterRepository(session).add(**letter)
''',
            ),
        ],
    },
    {
        "id": "m_in_hand",
        "kind": "mistake",
        "job": "submit-claim",
        "what": "start() takes due_at away, as a claim that a worker has in hand is none of the sweep's business; nothing gives it back. Breaks recovers: requeue_stalled brings a job back after its message was lost. Sequence: the first attempt gets a 503; Redis is away when self.retry publishes the second, so Celery rejects the message without requeue and it is gone; the row is released with due_at null, which no sweep finds; the claim is never submitted and never buried.",
        "edits": [
            (
                "apotheke/claims.py",
'''\
            claims.change(
                claim_id, ClaimStatus.RELEASED, starts=Claim.starts + 1, due_at=moment + config.STALL_AFTER
            )
''',
'''\
            claims.change(claim_id, ClaimStatus.RELEASED, starts=Claim.starts + 1, due_at=None)
''',
            ),
            (
                "README.md",
'''\
released claims that have not moved for a quarter of an
  hour get a new message.''',
'''\
released claims that no worker has picked up for a quarter of
  an hour get a new message.''',
            ),
        ],
    },
]
