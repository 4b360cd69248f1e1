"""Versions of base: edits are (path, old text, new text); an empty old text writes the file new."""

OK1_NOTICES = '''"""The rows behind a notice: a ledger of the steps that were taken. A step is
written once and never changed; which steps are there says how a notice stands."""
import hashlib
import json

from sqlalchemy import select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import joinedload

from .db import DeadLetter, Loan, Session, Step, Try

LAST = ("letter", "void", "dead")


class NoSuchLoan(Exception):
    pass


def loan(loan_id):
    with Session() as s:
        found = s.get(Loan, loan_id, options=[joinedload(Loan.patron)])
    if found is None:
        raise NoSuchLoan(f"there is no loan {loan_id}")
    return found


def steps(loan_id, level):
    with Session() as s:
        rows = s.execute(select(Step.step, Step.ref).where(Step.loan_id == loan_id, Step.level == level))
        return {step: ref for step, ref in rows}


def ended(taken):
    return next((step for step in LAST if step in taken), None)


def count_try(loan_id, level):
    with Session.begin() as s:
        s.execute(insert(Try).values(loan_id=loan_id, level=level, count=0).on_conflict_do_nothing())
        s.execute(update(Try).where(Try.loan_id == loan_id, Try.level == level).values(count=Try.count + 1))
        return s.get(Try, (loan_id, level)).count


def take(loan_id, level, step, ref=None):
    with Session.begin() as s:
        _take(s, loan_id, level, step, ref)


def bury(job, message, reason, notice=None):
    text = json.dumps(message, sort_keys=True, default=repr)
    with Session.begin() as s:
        s.execute(
            insert(DeadLetter)
            .values(
                fingerprint=hashlib.sha256(f"{job} {text}".encode()).hexdigest(),
                job=job, message=text, reason=reason,
            )
            .on_conflict_do_nothing()
        )
        if notice:
            _take(s, *notice, "dead", None)


def _take(s, loan_id, level, step, ref):
    s.execute(insert(Step).values(loan_id=loan_id, level=level, step=step, ref=ref).on_conflict_do_nothing())
'''

OK1_TASKS = '''import smtplib

import requests
import structlog
from rq import get_current_job

from . import cashdesk, locks, logs, notices, post, settings

logs.setup()
logger = structlog.get_logger("stadtbib.tasks")

JOB = "overdue-notice"


class BadMessage(Exception):
    pass


class GaveUp(Exception):
    """Not worth another try; says why."""


class Run:
    """One try at one notice."""

    def __init__(self, message):
        job = get_current_job()
        self.message = message
        self.log = logger.bind(job=JOB, message=message, rq_job=job.id if job else None)

    def __call__(self):
        self.log.info("started")
        self.notice = None
        try:
            self.notice = self.read()
            self.loan = notices.loan(self.notice[0])
            with locks.only_one("notice-%s-%s" % self.notice):
                self.step_by_step()
        except (BadMessage, notices.NoSuchLoan) as exc:
            notices.bury(JOB, self.message, str(exc))
            self.log.error("failed, given up", reason=str(exc))
        except locks.Busy as exc:
            self.log.warning("failed, will be retried", reason=str(exc))
            raise

    def step_by_step(self):
        taken = notices.steps(*self.notice)
        if end := notices.ended(taken):
            self.log.info("nothing to do", because=end)
            return
        count = notices.count_try(*self.notice)
        log = self.log.bind(attempt=count)
        try:
            if count > settings.MAX_ATTEMPTS:
                raise GaveUp("all attempts ended without a result")
            self.fee(taken)
            self.letter()
        except GaveUp as exc:
            self.bury(str(exc))
        except Exception as exc:
            reason = f"{type(exc).__name__}: {exc}"
            if passing(exc) and count < settings.MAX_ATTEMPTS:
                log.warning("failed, will be retried", reason=reason)
                raise
            self.bury(reason)
        else:
            log.info("succeeded")

    def fee(self, taken):
        cents = settings.FEES[self.notice[1]]
        if not cents or "fee" in taken or self.loan.returned_on:
            return
        receipt = cashdesk.book_fee(
            account=self.loan.patron_id,
            cents=cents,
            purpose=f"Mahnung {self.notice[1]}: {self.loan.title}",
            idempotency_key="stadtbib-notice-%s-%s" % self.notice,
        )
        notices.take(*self.notice, "fee", receipt)

    def letter(self):
        if self.loan.returned_on:
            notices.take(*self.notice, "void")
            return
        level = self.notice[1]
        post.send(
            to=self.loan.patron.email,
            subject=f"{level}. Mahnung: {self.loan.title}",
            text=f"Guten Tag {self.loan.patron.name},\\n\\n{self.loan.title!r} war am {self.loan.due_on} "
                 f"fällig. Die Gebühr beträgt {settings.FEES[level] / 100:.2f} Euro.\\n",
            message_id="<notice-%s-%s@stadtbib.example.org>" % self.notice,
        )
        notices.take(*self.notice, "letter")

    def bury(self, reason):
        notices.bury(JOB, self.message, reason, self.notice)
        self.log.error("failed, given up", reason=reason)

    def read(self):
        if not isinstance(self.message, dict) or set(self.message) != {"loan_id", "level"}:
            raise BadMessage("malformed: loan_id and level are wanted, and nothing else")
        loan_id, level = self.message["loan_id"], self.message["level"]
        if type(loan_id) is not int or loan_id < 1 or type(level) is not int or level not in settings.FEES:
            raise BadMessage(f"malformed: loan_id {loan_id!r}, level {level!r}")
        return loan_id, level


def overdue_notice(message):
    Run(message)()


def passing(exc):
    match exc:
        case requests.HTTPError():
            return exc.response.status_code in (408, 425, 429) or exc.response.status_code >= 500
        case smtplib.SMTPResponseException():
            return exc.smtp_code // 100 == 4
        case smtplib.SMTPRecipientsRefused():
            return all(code // 100 == 4 for code, _ in exc.recipients.values())
    return True


def rq_gave_up(job, connection, type, value, traceback):
    if job.retries_left or type is locks.Busy:
        return
    run = Run(job.args[0])
    run.notice = None
    try:
        run.notice = run.read()
    except BadMessage as exc:
        return run.bury(str(exc))
    if not notices.ended(notices.steps(*run.notice)):
        run.bury(f"RQ has no tries left: {type.__name__}: {value}")


def horse_killed(job, retpid, ret_val, rusage):
    rq_gave_up(job, job.connection, ChildProcessError, f"work-horse ended with {ret_val}", None)
'''

OK1_LOGS = '''import logging

import structlog


def setup():
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
'''

OK2_LOGS = '''import json
import logging
import time


class JsonFormatter(logging.Formatter):
    def format(self, record):
        line = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def setup():
    root = logging.getLogger()
    if any(isinstance(handler.formatter, JsonFormatter) for handler in root.handlers):
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    root.addHandler(handler)
    root.setLevel(logging.INFO)
'''

OK2_TASKS = '''"""Jobs of the loans desk. RQ counts the tries; what RQ gives up, however that
comes about, rq_gave_up buries."""
import contextlib
import logging
import smtplib

import requests
from rq import get_current_job

from . import locks, logs, notices, post, settings
from .cashdesk import CashDesk

logs.setup()
logger = logging.getLogger(__name__)
desk = CashDesk()

JOB = "overdue-notice"


class Hopeless(Exception):
    """Another try would end no better."""


def say(level, text, message, **more):
    logger.log(level, "%s %s %s", JOB, message, text, extra={"fields": {"job": JOB, **more}})


@contextlib.contextmanager
def hopeless(*types, when=lambda exc: True):
    try:
        yield
    except types as exc:
        if when(exc):
            raise Hopeless(f"{type(exc).__name__}: {exc}") from exc
        raise


def overdue_notice(loan_id=None, level=None, **rest):
    message = {"loan_id": loan_id, "level": level, **rest}
    job = get_current_job()
    say(logging.INFO, "started", message, rq_job=job and job.id)
    try:
        check(message)
        with locks.only_one(f"notice-{loan_id}-{level}"):
            outcome = deliver(loan_id, level)
    except Hopeless as exc:
        give_up(message, str(exc))
    except Exception as exc:
        tries = job.retries_left if job else None
        say(logging.WARNING, f"failed: {type(exc).__name__}: {exc}", message, retries_left=tries)
        raise
    else:
        say(logging.INFO, f"succeeded: {outcome}", message)


def deliver(loan_id, level):
    with hopeless(notices.NoSuchLoan):
        loan = notices.loan(loan_id)
    notice = notices.begin(loan_id, level)
    if notice.status != "pending":
        return f"was {notice.status} already"
    if notice.attempts > settings.MAX_ATTEMPTS:
        raise Hopeless("all attempts ended without a result")
    if loan.returned_on:
        notices.settle(loan_id, level, "void")
        return "the book is back"
    cents = settings.FEES[level]
    if cents and notice.fee_ref is None:
        with hopeless(requests.HTTPError, when=lambda exc: refused(exc.response.status_code)):
            receipt = desk.book(
                loan.patron_id, cents, f"Mahnung {level}: {loan.title}",
                key=f"stadtbib-notice-{loan_id}-{level}",
            )
        notices.fee_booked(loan_id, level, receipt)
    with (
        hopeless(smtplib.SMTPResponseException, when=lambda exc: exc.smtp_code >= 500),
        hopeless(smtplib.SMTPRecipientsRefused,
                 when=lambda exc: any(code >= 500 for code, _ in exc.recipients.values())),
    ):
        post.send(
            to=loan.patron.email,
            subject=f"{level}. Mahnung: {loan.title}",
            text=f"Guten Tag {loan.patron.name},\\n\\n{loan.title!r} war am {loan.due_on} fällig. "
                 f"Die Gebühr beträgt {cents / 100:.2f} Euro.\\n",
            message_id=f"<notice-{loan_id}-{level}@stadtbib.example.org>",
        )
    notices.settle(loan_id, level, "sent")
    return "letter sent"


def refused(status):
    return 400 <= status < 500 and status not in (408, 425, 429)


def check(message):
    if set(message) != {"loan_id", "level"}:
        raise Hopeless("malformed: loan_id and level are wanted, and nothing else")
    for name, value in message.items():
        if type(value) is not int or value < 1:
            raise Hopeless(f"malformed: {name} is {value!r}")
    if message["level"] not in settings.FEES:
        raise Hopeless(f"malformed: level is {message['level']!r}")


def give_up(message, reason):
    try:
        check(message)
        notice = (message["loan_id"], message["level"])
    except Hopeless:
        notice = None
    notices.bury(JOB, message, reason, notice)
    say(logging.ERROR, f"failed, given up: {reason}", message)


def rq_gave_up(job, connection, type, value, traceback):
    if job.retries_left or type is locks.Busy:
        return
    message = dict(job.kwargs)
    with contextlib.suppress(Hopeless):
        check(message)
        notice = notices.find(message["loan_id"], message["level"])
        if notice and notice.status != "pending":
            return
    give_up(message, f"no tries left: {type.__name__}: {value}")


def horse_killed(job, retpid, ret_val, rusage):
    rq_gave_up(job, job.connection, ChildProcessError, f"work-horse ended with {ret_val}", None)
'''

OK2_DESK = '''"""The city's cash desk. It knows a booking again by its Idempotency-Key for 30
days and answers a repetition with the first receipt."""
import requests

from . import settings


class CashDesk:
    def __init__(self, url=settings.CASHDESK_URL, token=settings.CASHDESK_TOKEN):
        self.url = url
        self.headers = {"Authorization": f"Bearer {token}"}

    def book(self, account, cents, purpose, *, key):
        with requests.Session() as session:
            session.headers.update(self.headers)
            answer = session.post(
                self.url + "/bookings",
                json={"account": account, "cents": cents, "purpose": purpose},
                headers={"Idempotency-Key": key},
                timeout=(5, 20),
            )
        answer.raise_for_status()
        return answer.json()["receipt"]
'''

SPEC = ".skillrun/jobs/overdue-notice.yaml"

VARIANTS = [
    {
        "id": "ok-1", "kind": "correct", "job": "overdue-notice",
        "what": "A ledger of steps instead of a status column, one class per run, structlog",
        "edits": [
            ("stadtbib/db.py", '''class Notice(Base):
    """What became of one notice: pending, then sent, void or dead."""

    __tablename__ = "notices"
    loan_id: Mapped[int] = mapped_column(ForeignKey("loans.id"), primary_key=True)
    level: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(String(10), default="pending")
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    fee_ref: Mapped[str | None] = mapped_column(String(40))
''', '''class Step(Base):
    """A step of a notice that was taken: fee, then letter, void or dead."""

    __tablename__ = "steps"
    loan_id: Mapped[int] = mapped_column(ForeignKey("loans.id"), primary_key=True)
    level: Mapped[int] = mapped_column(primary_key=True)
    step: Mapped[str] = mapped_column(String(10), primary_key=True)
    ref: Mapped[str | None] = mapped_column(String(40))


class Try(Base):
    __tablename__ = "tries"
    loan_id: Mapped[int] = mapped_column(ForeignKey("loans.id"), primary_key=True)
    level: Mapped[int] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(Integer, default=0)
'''),
            ("stadtbib/notices.py", "", OK1_NOTICES),
            ("stadtbib/tasks.py", "", OK1_TASKS),
            ("stadtbib/logs.py", "", OK1_LOGS),
            ("stadtbib/lending.py", "from sqlalchemy import delete, or_, select, update", "from sqlalchemy import delete, select, update"),
            ("stadtbib/lending.py", "from .db import DeadLetter, Loan, Notice, Session", "from .db import DeadLetter, Loan, Session, Step, Try\nfrom .notices import LAST"),
            ("stadtbib/lending.py", '''            .outerjoin(Notice, (Notice.loan_id == Loan.id) & (Notice.level == Loan.reminded))
            .where(Loan.reminded > 0, Loan.returned_on.is_(None))
            .where(or_(Notice.status.is_(None), Notice.status == "pending"))
''', '''            .where(Loan.reminded > 0, Loan.returned_on.is_(None))
            .where(
                ~select(Step)
                .where(Step.loan_id == Loan.id, Step.level == Loan.reminded, Step.step.in_(LAST))
                .exists()
            )
'''),
            ("stadtbib/lending.py", '''        s.execute(
            update(Notice)
            .where(Notice.loan_id == loan_id, Notice.level == level, Notice.status == "dead")
            .values(status="pending", attempts=0)
        )
''', '''        s.execute(delete(Step).where(Step.loan_id == loan_id, Step.level == level, Step.step == "dead"))
        s.execute(delete(Try).where(Try.loan_id == loan_id, Try.level == level))
'''),
            ("requirements.txt", "pytest>=8", "structlog>=24\npytest>=8"),
            ("tests/test_notices.py", '''    assert notices.find(1, 2).status == "sent"
''', '''    assert set(notices.steps(1, 2)) == {"fee", "letter"}
'''),
            ("tests/test_notices.py", '''notices.find(3, 2).status == "void"''', '''"void" in notices.steps(3, 2)'''),
            ("tests/test_notices.py", '''notices.find(1, 2).status == "dead"''', '''"dead" in notices.steps(1, 2)'''),
            (SPEC, "dedupe: {store: table notices}", "dedupe: {store: table steps}"),
            (SPEC, "    notices: select loan_id, level, status, fee_ref from notices order by 1, 2\n",
                   "    steps: select loan_id, level, step, ref from steps order by 1, 2, 3\n  not_state: [tries]\n"),
        ],
    },
    {
        "id": "ok-2", "kind": "correct", "job": "overdue-notice",
        "what": "Keyword message, RQ counts the tries and its failure callback buries, JSON lines, an adapter class",
        "edits": [
            ("stadtbib/tasks.py", "", OK2_TASKS),
            ("stadtbib/cashdesk.py", "", OK2_DESK),
            ("stadtbib/logs.py", "", OK2_LOGS),
            ("stadtbib/lending.py", '''        {"loan_id": loan_id, "level": level},
        retry''', '''        kwargs={"loan_id": loan_id, "level": level},
        retry'''),
            ("tests/conftest.py", "from stadtbib import cashdesk, initdb, post", "from stadtbib import cashdesk, initdb, post, tasks"),
            ("tests/conftest.py", '''    monkeypatch.setattr(cashdesk, "book_fee", lambda **kw: city.fees.append(kw) or "Q-1")
''', '''    monkeypatch.setattr(
        cashdesk.CashDesk, "book",
        lambda self, account, cents, purpose, *, key: city.fees.append({"cents": cents, "key": key}) or "Q-1",
    )
'''),
            ("tests/test_notices.py", '''from stadtbib.tasks import overdue_notice

''', '''from stadtbib import tasks


def overdue_notice(message):
    tasks.overdue_notice(**message)


'''),
            ("tests/test_notices.py", '''    def call(**kwargs):
''', '''    def call(*args, **kwargs):
'''),
            ("tests/test_notices.py", '''    monkeypatch.setattr(cashdesk, "book_fee", failing(http_error(503)))
    for _ in range(4):
        with pytest.raises(requests.HTTPError):
            overdue_notice(MESSAGE)
    overdue_notice(MESSAGE)
''', '''    monkeypatch.setattr(cashdesk.CashDesk, "book", failing(http_error(503)))
    for _ in range(5):
        with pytest.raises(requests.HTTPError) as caught:
            overdue_notice(MESSAGE)

    class LastTry:
        retries_left, kwargs = None, MESSAGE

    tasks.rq_gave_up(LastTry, None, caught.type, caught.value, None)
'''),
            ("tests/test_notices.py", '''    monkeypatch.setattr(cashdesk, "book_fee", failing(http_error(422)))
''', '''    monkeypatch.setattr(cashdesk.CashDesk, "book", failing(http_error(422)))
'''),
            ("tests/test_notices.py", '''[{}, None, {"loan_id"''', '''[{}, {"loan_id"'''),
            (SPEC, "message: payload", "message: kwargs"),
            (SPEC, '''    call: stadtbib.cashdesk:book_fee
    key_arg: idempotency_key''', '''    call: stadtbib.cashdesk:CashDesk.book
    key_arg: key'''),
            (SPEC, '''    - {type: "stadtbib.tasks:BadMessage", effects: []}
''', '''    - {type: "stadtbib.tasks:Hopeless", effects: []}
'''),
        ],
    },
    {
        "id": "m-fee-key", "kind": "mistake", "job": "overdue-notice",
        "what": "The key of the booking is the RQ job's id: a notice that requeue_open or a second call publishes anew is charged twice",
        "edits": [
            ("stadtbib/tasks.py", '''                deliver(log, loan, notice)
''', '''                deliver(log, loan, notice, job)
'''),
            ("stadtbib/tasks.py", "def deliver(log, loan, notice):", "def deliver(log, loan, notice, job=None):"),
            ("stadtbib/tasks.py", '''            idempotency_key=f"stadtbib-notice-{notice.loan_id}-{notice.level}",
''', '''            # the cash desk wants something it can look up in the RQ dashboard
            idempotency_key=f"stadtbib-{job.id if job else notice.loan_id}",
'''),
        ],
    },
    {
        "id": "m-oserror", "kind": "mistake", "job": "overdue-notice",
        "what": "Network errors pass, says the new line; but requests.HTTPError and smtplib's are OSErrors too, so refusals are tried five times",
        "edits": [
            ("stadtbib/tasks.py", '''    """Whether another try is worth while."""
''', '''    """Whether another try is worth while."""
    if isinstance(exc, OSError):  # refused, reset, timed out, no route, DNS
        return True
'''),
        ],
    },
    {
        "id": "m-logging", "kind": "mistake", "job": "overdue-notice",
        "what": "Chatty libraries are silenced with disable_existing_loggers, and the job's own logger with them",
        "edits": [
            ("stadtbib/logs.py", '''    "disable_existing_loggers": False,
''', '''    "disable_existing_loggers": True,  # urllib3 and rq fill the journal
'''),
        ],
    },
    {
        "id": "m-sweep", "kind": "mistake", "job": "overdue-notice",
        "what": "The sweep asks for status <> 'sent' over an outer join: a notice whose message was lost before it had a row is NULL and never comes back",
        "edits": [
            ("stadtbib/lending.py", '''            .where(or_(Notice.status.is_(None), Notice.status == "pending"))
''', '''            .where(Notice.status.not_in(["sent", "void", "dead"]))
'''),
            ("stadtbib/lending.py", "from sqlalchemy import delete, or_, select, update", "from sqlalchemy import delete, select, update"),
        ],
    },
]
