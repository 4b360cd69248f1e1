VARIANTS = [
    {
        "id": "ok_journal",
        "kind": "correct",
        "job": "transmit-declaration",
        "what": 'Another dedupe store (an append-only journal, one row a declaration and step, the first result stands) and another layering (a list of steps that is walked, the status follows from the journal in the same unit of work); logs are JSON lines (serialize=True). Transmission number, attempts in the row, burial and sweep as before.',
        "edits": [
            (
                ".skillrun/jobs/transmit-declaration.yaml",
'''\
  dedupe: {store: table declarations (status)}
effects:
  - name: transmission
    call: lohnbuero.authority:Authority.transmit
    key_arg: transmission_no
    window: 365d
    guarantee: keyed
    returns: T-1
  - name: receipt
    call: lohnbuero.mailer:send
    guarantee: at_least_once
    reason: >-
      SMTP knows no repetition; a clerk who gets the same receipt twice, with the same Message-ID, after a
      crash or a lost 250 is not misled, one without a receipt rings us up
failures:
  transient:
    - {type: "httpx:HTTPStatusError", args: [503], effects: [transmission]}
    - {type: "httpx:ReadTimeout", args: [timed out], effects: [transmission]}
    - {type: "httpx:ConnectError", args: [connection refused], effects: [transmission], unsent: true}
    - {type: "lohnbuero.authority:Garbled", args: [status 200 without a ticket], effects: [transmission]}
    - {type: "smtplib:SMTPServerDisconnected", args: [Connection unexpectedly closed], effects: [receipt]}
    - {type: "smtplib:SMTPDataError", args: [451, 4.3.2 try again later], effects: [receipt], unsent: true}
    - {type: ConnectionRefusedError, args: [111, Connection refused], effects: [receipt], unsent: true}
    - {type: "sqlalchemy.exc:OperationalError", args: [update, null, null], effects: []}
  permanent:
    - {type: "httpx:HTTPStatusError", args: [422], effects: [transmission], unsent: true}
    - {type: "smtplib:SMTPRecipientsRefused", args: [{r.lindner@example.org: [550, no such mailbox]}], effects: [receipt], unsent: true}
    - {type: "lohnbuero.service:UnknownDeclaration", args: [no declaration 50], effects: []}
    - {type: "lohnbuero.service:NotReleased", args: [declaration 1 is a draft], effects: []}
    - {type: "lohnbuero.commands:BadMessage", args: [declaration_id is wanted], effects: []}
  acceptable_delay: 3d
retry:
  max_attempts: 5
  backoff: {kind: exponential, base: 60s, factor: 2, cap: 480s}
dead_letter: {kind: table, where: dead_letters}
worker: {deliveries: 6}
proof:
  services: [redis]
  env:
    LOHN_DATABASE_URL: "sqlite:///{scratch}/lohn.db"
    LOHN_REDIS_URL: "{redis}"
    LOHN_AUTHORITY_URL: http://authority.invalid
    LOHN_AUTHORITY_TOKEN: proof
    LOHN_SMTP_HOST: smtp.invalid
  setup: python -m lohnbuero.schema --demo
  database: "{scratch}/lohn.db"
  state:
    declarations: select id, status, transmission_no, ticket from declarations order by id
''',
'''\
  dedupe: {store: table journal}
effects:
  - name: transmission
    call: lohnbuero.authority:Authority.transmit
    key_arg: transmission_no
    window: 365d
    guarantee: keyed
    returns: T-1
  - name: receipt
    call: lohnbuero.mailer:send
    guarantee: at_least_once
    reason: >-
      SMTP knows no repetition; a clerk who gets the same receipt twice, with the same Message-ID, after a
      crash or a lost 250 is not misled, one without a receipt rings us up
failures:
  transient:
    - {type: "httpx:HTTPStatusError", args: [503], effects: [transmission]}
    - {type: "httpx:ReadTimeout", args: [timed out], effects: [transmission]}
    - {type: "httpx:ConnectError", args: [connection refused], effects: [transmission], unsent: true}
    - {type: "lohnbuero.authority:Garbled", args: [status 200 without a ticket], effects: [transmission]}
    - {type: "smtplib:SMTPServerDisconnected", args: [Connection unexpectedly closed], effects: [receipt]}
    - {type: "smtplib:SMTPDataError", args: [451, 4.3.2 try again later], effects: [receipt], unsent: true}
    - {type: ConnectionRefusedError, args: [111, Connection refused], effects: [receipt], unsent: true}
    - {type: "sqlalchemy.exc:OperationalError", args: [update, null, null], effects: []}
  permanent:
    - {type: "httpx:HTTPStatusError", args: [422], effects: [transmission], unsent: true}
    - {type: "smtplib:SMTPRecipientsRefused", args: [{r.lindner@example.org: [550, no such mailbox]}], effects: [receipt], unsent: true}
    - {type: "lohnbuero.service:UnknownDeclaration", args: [no declaration 50], effects: []}
    - {type: "lohnbuero.service:NotReleased", args: [declaration 1 is a draft], effects: []}
    - {type: "lohnbuero.commands:BadMessage", args: [declaration_id is wanted], effects: []}
  acceptable_delay: 3d
retry:
  max_attempts: 5
  backoff: {kind: exponential, base: 60s, factor: 2, cap: 480s}
dead_letter: {kind: table, where: dead_letters}
worker: {deliveries: 6}
proof:
  services: [redis]
  env:
    LOHN_DATABASE_URL: "sqlite:///{scratch}/lohn.db"
    LOHN_REDIS_URL: "{redis}"
    LOHN_AUTHORITY_URL: http://authority.invalid
    LOHN_AUTHORITY_TOKEN: proof
    LOHN_SMTP_HOST: smtp.invalid
  setup: python -m lohnbuero.schema --demo
  database: "{scratch}/lohn.db"
  state:
    declarations: select id, status, transmission_no, ticket from declarations order by id
    journal: select declaration_id, step, result from journal order by 1, 2
''',
            ),
            (
                "README.md",
'''\
under the same number however often it is tried. There are five attempts, counted in the row, dead workers included.
''',
'''\
under the same number however often it is tried. What has been done is in `journal`,
one row a step. There are five attempts, counted in the row, dead workers included.
''',
            ),
            (
                "lohnbuero/jobs.py",
'''\
from .model import Status
from .queue import JOB

logs.setup()


class TryAgain(Exception):
    """Tells RQ that another attempt is worth while."""


class UsedUp(Exception):
    pass


def transmit_declaration(**message):
    """Transmit a released declaration to the authority, then mail the clerk the receipt."""
    job = get_current_job()
    job_id = job.id if job else "-"
    log = logger.bind(job=JOB, job_id=job_id, key=key_of(message), attempt=tries_of(job) + 1)
    declaration = None
    try:
        command = TransmitDeclaration.parse(message)
        declaration = service.begin(command.declaration_id)
        if declaration is None:
            log.bind(outcome="nothing_to_do").info("declaration is at its end")
            return
        log = log.bind(attempt=declaration.attempts)
        log.bind(outcome="started").info("declaration started")
        if declaration.attempts > config.MAX_ATTEMPTS:
            raise UsedUp(f"{config.MAX_ATTEMPTS} attempts ended without a word")
        if declaration.status == Status.RELEASED:
            ticket = Authority().transmit(
                transmission_no=declaration.transmission_no,
                employer_no=declaration.employer.number,
                period=declaration.period,
                gross_cents=declaration.gross_cents,
            )
            declaration = service.record_ticket(declaration.id, ticket)
            log.bind(outcome="transmitted", ticket=ticket).info("declaration transmitted")
        if declaration.status == Status.TRANSMITTED:
            mailer.send(mailer.receipt(declaration))
            service.finish(declaration.id)
''',
'''\
from .queue import JOB

logs.setup()


class TryAgain(Exception):
    """Tells RQ that another attempt is worth while."""


class UsedUp(Exception):
    pass


def ticket(declaration):
    return Authority().transmit(
        transmission_no=declaration.transmission_no,
        employer_no=declaration.employer.number,
        period=declaration.period,
        gross_cents=declaration.gross_cents,
    )


def receipt(declaration):
    mail = mailer.receipt(declaration)
    mailer.send(mail)
    return mail["Message-ID"]


STEPS = (ticket, receipt)


def transmit_declaration(**message):
    """Transmit a released declaration to the authority, then mail the clerk the receipt."""
    job = get_current_job()
    job_id = job.id if job else "-"
    log = logger.bind(job=JOB, job_id=job_id, key=key_of(message), attempt=tries_of(job) + 1)
    declaration = None
    try:
        command = TransmitDeclaration.parse(message)
        begun = service.begin(command.declaration_id)
        if begun is None:
            log.bind(outcome="nothing_to_do").info("declaration is at its end")
            return
        declaration, journal = begun
        log = log.bind(attempt=declaration.attempts)
        log.bind(outcome="started").info("declaration started")
        if declaration.attempts > config.MAX_ATTEMPTS:
            raise UsedUp(f"{config.MAX_ATTEMPTS} attempts ended without a word")
        for step in STEPS:
            if step.__name__ not in journal:
                result = step(declaration)
                declaration, journal = service.enter(declaration.id, step.__name__, result)
                log.bind(outcome="stepped", step=step.__name__).info("declaration went a step")
''',
            ),
            (
                "lohnbuero/logs.py",
'''\
FORMAT = "{time:YYYY-MM-DDTHH:mm:ssZ} {level} {message} {extra}"


def setup():
    logger.remove()
    logger.add(sys.stderr, format=FORMAT, level="INFO", backtrace=False, diagnose=False)
''',
'''\

def setup():
    logger.remove()
    logger.add(sys.stderr, serialize=True, level="INFO", backtrace=False, diagnose=False)
''',
            ),
            (
                "lohnbuero/model.py",
'''\
    employer: Mapped[Employer] = relationship(lazy="joined")


''',
'''\
    employer: Mapped[Employer] = relationship(lazy="joined")


class Entry(Base):
    """What has been done for a declaration. Written once, never changed, never removed."""

    __tablename__ = "journal"

    declaration_id: Mapped[int] = mapped_column(ForeignKey("declarations.id"), primary_key=True)
    step: Mapped[str] = mapped_column(String(20), primary_key=True)
    result: Mapped[str] = mapped_column(String(60), default="")
    at: Mapped[datetime] = mapped_column(Moment, default=now)


''',
            ),
            (
                "lohnbuero/service.py",
'''\
    """The declaration, one attempt on; None if it is at its end."""
    with UnitOfWork() as uow:
        started = uow.declarations.move(
            declaration_id,
            OPEN,
            attempts=Declaration.attempts + 1,
            due_at=now() + config.PATIENCE,
        )
        declaration = uow.declarations.get(declaration_id)
        uow.commit()
    if declaration is None:
        raise UnknownDeclaration(f"no declaration {declaration_id}")
    if declaration.status == Status.DRAFT:
        raise NotReleased(f"declaration {declaration_id} is a draft")
    return declaration if started else None


@insisting
def record_ticket(declaration_id, ticket):
    """The authority has it, even if another delivery has given up meanwhile."""
    with UnitOfWork() as uow:
        moved = uow.declarations.move(
            declaration_id,
            [Status.RELEASED, Status.FAILED],
            status=Status.TRANSMITTED,
            ticket=ticket,
            due_at=now() + config.PATIENCE,
        )
        if moved:
            uow.dead_letters.drop(str(declaration_id))
        declaration = uow.declarations.get(declaration_id)
        uow.commit()
    return declaration


@insisting
def finish(declaration_id):
    with UnitOfWork() as uow:
        seen = [Status.TRANSMITTED, Status.UNRECEIPTED]
        if uow.declarations.move(declaration_id, seen, status=Status.DONE, due_at=None):
            uow.dead_letters.drop(str(declaration_id))
        uow.commit()
''',
'''\
    """The declaration, one attempt on, and its journal; None if it is at its end."""
    with UnitOfWork() as uow:
        started = uow.declarations.move(
            declaration_id,
            OPEN,
            attempts=Declaration.attempts + 1,
            due_at=now() + config.PATIENCE,
        )
        declaration = uow.declarations.get(declaration_id)
        journal = uow.journal.of(declaration_id)
        uow.commit()
    if declaration is None:
        raise UnknownDeclaration(f"no declaration {declaration_id}")
    if declaration.status == Status.DRAFT:
        raise NotReleased(f"declaration {declaration_id} is a draft")
    return (declaration, journal) if started else None


@insisting
def enter(declaration_id, step, result):
    """A step is done: its entry, and the status that follows from the journal."""
    with UnitOfWork() as uow:
        journal = uow.journal.write(declaration_id, step, result)
        if "receipt" in journal:
            seen, change = [Status.TRANSMITTED, Status.UNRECEIPTED], {"status": Status.DONE, "due_at": None}
        else:
            seen, change = [Status.RELEASED, Status.FAILED], {
                "status": Status.TRANSMITTED,
                "ticket": journal["ticket"],
                "due_at": now() + config.PATIENCE,
            }
        if uow.declarations.move(declaration_id, seen, **change):
            uow.dead_letters.drop(str(declaration_id))
        declaration = uow.declarations.get(declaration_id)
        uow.commit()
    return declaration, journal
''',
            ),
            (
                "lohnbuero/uow.py",
'''\
from .model import OPEN, DeadLetter, Declaration, now

new_session = sessionmaker(expire_on_commit=False)


def connect(url):
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": 15}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def no_implicit_begin(connection, _):
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    new_session.configure(bind=engine)
    return engine


connect(config.DATABASE_URL)


class Declarations:
    def __init__(self, session):
        self.session = session

    def get(self, declaration_id):
        return self.session.get(Declaration, declaration_id, populate_existing=True)

    def move(self, declaration_id, seen, **values):
        """True if it stood at one of `seen`, and was changed."""
        where = (Declaration.id == declaration_id, Declaration.status.in_(seen))
        return bool(self.session.execute(update(Declaration).where(*where).values(**values)).rowcount)

    def stalled(self):
        overdue = select(Declaration.id).where(Declaration.status.in_(OPEN), Declaration.due_at <= now())
        return self.session.scalars(overdue.order_by(Declaration.due_at)).all()


class DeadLetters:
    def __init__(self, session):
        self.session = session

    def add(self, **values):
        """False if there is one under this key."""
        return bool(self.session.execute(insert(DeadLetter).values(**values).on_conflict_do_nothing()).rowcount)

    def drop(self, key):
        self.session.execute(delete(DeadLetter).where(DeadLetter.key == key))


class UnitOfWork:
    """All of it with commit(), or nothing."""

    def __enter__(self):
        self.session = new_session()
        self.declarations = Declarations(self.session)
        self.dead_letters = DeadLetters(self.session)
''',
'''\
from .model import OPEN, DeadLetter, Declaration, Entry, now

new_session = sessionmaker(expire_on_commit=False)


def connect(url):
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": 15}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def no_implicit_begin(connection, _):
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection):
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    new_session.configure(bind=engine)
    return engine


connect(config.DATABASE_URL)


class Declarations:
    def __init__(self, session):
        self.session = session

    def get(self, declaration_id):
        return self.session.get(Declaration, declaration_id, populate_existing=True)

    def move(self, declaration_id, seen, **values):
        """True if it stood at one of `seen`, and was changed."""
        where = (Declaration.id == declaration_id, Declaration.status.in_(seen))
        return bool(self.session.execute(update(Declaration).where(*where).values(**values)).rowcount)

    def stalled(self):
        overdue = select(Declaration.id).where(Declaration.status.in_(OPEN), Declaration.due_at <= now())
        return self.session.scalars(overdue.order_by(Declaration.due_at)).all()


class Journal:
    def __init__(self, session):
        self.session = session

    def of(self, declaration_id):
        entries = select(Entry.step, Entry.result).where(Entry.declaration_id == declaration_id)
        return dict(self.session.execute(entries).tuples().all())

    def write(self, declaration_id, step, result):
        """The first result stands."""
        entry = insert(Entry).values(declaration_id=declaration_id, step=step, result=result)
        self.session.execute(entry.on_conflict_do_nothing())
        return self.of(declaration_id)


class DeadLetters:
    def __init__(self, session):
        self.session = session

    def add(self, **values):
        """False if there is one under this key."""
        return bool(self.session.execute(insert(DeadLetter).values(**values).on_conflict_do_nothing()).rowcount)

    def drop(self, key):
        self.session.execute(delete(DeadLetter).where(DeadLetter.key == key))


class UnitOfWork:
    """All of it with commit(), or nothing."""

    def __enter__(self):
        self.session = new_session()
        self.declarations = Declarations(self.session)
        self.dead_letters = DeadLetters(self.session)
        self.journal = Journal(self.session)
''',
            ),
            (
                "tests/test_declarations.py",
'''\
    assert service.record_ticket(1, "T-8").status == "transmitted" and dead() == 0
''',
'''\
    declaration, journal = service.enter(1, "ticket", "T-8")
    assert declaration.status == "transmitted" and journal == {"ticket": "T-8"} and dead() == 0
''',
            ),
        ],
    },
    {
        "id": "claim_then_mail",
        "kind": "mistake",
        "job": "transmit-declaration",
        "what": 'Breaks the effect receipt: guarantee at_least_once. The declaration is set to done before the mail, so that of two deliveries one mails, and set back when sending raises. Sequence: the ticket is recorded; finish() commits done; the worker is killed before the server has taken the mail (SIGKILL runs no except); RQ delivers again, begin() finds done, nothing to do, and due_at is null: the clerk never gets the receipt and there is no dead letter.',
        "edits": [
            (
                "lohnbuero/jobs.py",
'''\
            mailer.send(mailer.receipt(declaration))
            service.finish(declaration.id)
''',
'''\
            if service.finish(declaration.id):
                try:
                    mailer.send(mailer.receipt(declaration))
                except Exception:
                    service.reopen(declaration.id)
                    raise
''',
            ),
            (
                "lohnbuero/service.py",
'''\
    with UnitOfWork() as uow:
        seen = [Status.TRANSMITTED, Status.UNRECEIPTED]
        if uow.declarations.move(declaration_id, seen, status=Status.DONE, due_at=None):
            uow.dead_letters.drop(str(declaration_id))
''',
'''\
    """True for the one delivery that is to mail the receipt."""
    with UnitOfWork() as uow:
        seen = [Status.TRANSMITTED, Status.UNRECEIPTED]
        finished = uow.declarations.move(declaration_id, seen, status=Status.DONE, due_at=None)
        if finished:
            uow.dead_letters.drop(str(declaration_id))
        uow.commit()
    return finished


@insisting
def reopen(declaration_id):
    """The receipt could not be mailed."""
    with UnitOfWork() as uow:
        due_at = now() + config.PATIENCE
        uow.declarations.move(declaration_id, [Status.DONE], status=Status.TRANSMITTED, due_at=due_at)
''',
            ),
        ],
    },
    {
        "id": "outbox_only",
        "kind": "mistake",
        "job": "transmit-declaration",
        "what": "Breaks recovers (requeue_stalled, every 30m) and worker.deliveries (6, then a record). publish() takes the row off the sweep's list (due_at null) and begin() does not put it back. Sequence: published; Redis loses the message, or each of RQ's five deliveries kills its worker; RQ has nothing left, no sweep sees the row: it stands at released for ever, without a dead letter.",
        "edits": [
            (
                "lohnbuero/service.py",
'''\
from . import config, queue
from .model import ENDS_AS, OPEN, Declaration, Status, now
from .uow import UnitOfWork


class UnknownDeclaration(Exception):
    pass


class NotReleased(Exception):
    pass


def insisting(step):
    """What the world has seen already is worth a second try at writing it down."""

    @functools.wraps(step)
    def tried(*args, **kwargs):
        for _ in range(2):
            try:
                return step(*args, **kwargs)
            except SQLAlchemyError as error:
                logger.warning("database stumbled in {}: {}", step.__name__, type(error).__name__)
        return step(*args, **kwargs)

    return tried


def release(declaration_id):
    """The clerk's button. Pressing it again does nothing."""
    with UnitOfWork() as uow:
        declaration = uow.declarations.get(declaration_id)
        if declaration is None:
            raise UnknownDeclaration(f"no declaration {declaration_id}")
        number = f"LB-{declaration.period.replace('-', '')}-{declaration.id:06d}"
        released = uow.declarations.move(
            declaration_id, [Status.DRAFT], status=Status.RELEASED, transmission_no=number, due_at=now()
        )
        uow.commit()
    if released:
        publish_soon(declaration_id)
    return released


def publish_soon(declaration_id):
    try:
        publish(declaration_id)
    except (RedisError, SQLAlchemyError) as error:
        logger.bind(job=queue.JOB, key=str(declaration_id)).warning(
            "left to the sweep: {}", type(error).__name__
        )


def publish(declaration_id):
    queue.put(declaration_id)
    with UnitOfWork() as uow:
        uow.declarations.move(declaration_id, OPEN, due_at=now() + config.PATIENCE)
        uow.commit()


def requeue_stalled():
    """Every half hour: publish what should have moved by now."""
    with UnitOfWork() as uow:
        stalled = uow.declarations.stalled()
    for declaration_id in stalled:
        publish(declaration_id)
        logger.bind(job=queue.JOB, key=str(declaration_id), outcome="requeued").info("declaration requeued")
    return len(stalled)


def begin(declaration_id):
    """The declaration, one attempt on; None if it is at its end."""
    with UnitOfWork() as uow:
        started = uow.declarations.move(
            declaration_id,
            OPEN,
            attempts=Declaration.attempts + 1,
            due_at=now() + config.PATIENCE,
        )
        declaration = uow.declarations.get(declaration_id)
        uow.commit()
    if declaration is None:
        raise UnknownDeclaration(f"no declaration {declaration_id}")
    if declaration.status == Status.DRAFT:
        raise NotReleased(f"declaration {declaration_id} is a draft")
    return declaration if started else None


@insisting
def record_ticket(declaration_id, ticket):
    """The authority has it, even if another delivery has given up meanwhile."""
    with UnitOfWork() as uow:
        moved = uow.declarations.move(
            declaration_id,
            [Status.RELEASED, Status.FAILED],
            status=Status.TRANSMITTED,
            ticket=ticket,
            due_at=now() + config.PATIENCE,
''',
'''\
from . import queue
from .model import ENDS_AS, OPEN, Declaration, Status, now
from .uow import UnitOfWork


class UnknownDeclaration(Exception):
    pass


class NotReleased(Exception):
    pass


def insisting(step):
    """What the world has seen already is worth a second try at writing it down."""

    @functools.wraps(step)
    def tried(*args, **kwargs):
        for _ in range(2):
            try:
                return step(*args, **kwargs)
            except SQLAlchemyError as error:
                logger.warning("database stumbled in {}: {}", step.__name__, type(error).__name__)
        return step(*args, **kwargs)

    return tried


def release(declaration_id):
    """The clerk's button. Pressing it again does nothing."""
    with UnitOfWork() as uow:
        declaration = uow.declarations.get(declaration_id)
        if declaration is None:
            raise UnknownDeclaration(f"no declaration {declaration_id}")
        number = f"LB-{declaration.period.replace('-', '')}-{declaration.id:06d}"
        released = uow.declarations.move(
            declaration_id, [Status.DRAFT], status=Status.RELEASED, transmission_no=number, due_at=now()
        )
        uow.commit()
    if released:
        publish_soon(declaration_id)
    return released


def publish_soon(declaration_id):
    try:
        publish(declaration_id)
    except (RedisError, SQLAlchemyError) as error:
        logger.bind(job=queue.JOB, key=str(declaration_id)).warning(
            "left to the sweep: {}", type(error).__name__
        )


def publish(declaration_id):
    queue.put(declaration_id)
    with UnitOfWork() as uow:
        uow.declarations.move(declaration_id, OPEN, due_at=None)
        uow.commit()


def requeue_stalled():
    """Every half hour: publish what Redis has not taken yet. From then on RQ looks after it."""
    with UnitOfWork() as uow:
        stalled = uow.declarations.stalled()
    for declaration_id in stalled:
        publish(declaration_id)
        logger.bind(job=queue.JOB, key=str(declaration_id), outcome="requeued").info("declaration requeued")
    return len(stalled)


def begin(declaration_id):
    """The declaration, one attempt on; None if it is at its end."""
    with UnitOfWork() as uow:
        started = uow.declarations.move(
            declaration_id,
            OPEN,
            attempts=Declaration.attempts + 1,
        )
        declaration = uow.declarations.get(declaration_id)
        uow.commit()
    if declaration is None:
        raise UnknownDeclaration(f"no declaration {declaration_id}")
    if declaration.status == Status.DRAFT:
        raise NotReleased(f"declaration {declaration_id} is a draft")
    return declaration if started else None


@insisting
def record_ticket(declaration_id, ticket):
    """The authority has it, even if another delivery has given up meanwhile."""
    with UnitOfWork() as uow:
        moved = uow.declarations.move(
            declaration_id,
            [Status.RELEASED, Status.FAILED],
            status=Status.TRANSMITTED,
            ticket=ticket,
            due_at=None,
''',
            ),
        ],
    },
    {
        "id": "count_failures",
        "kind": "mistake",
        "job": "transmit-declaration",
        "what": "Breaks worker.deliveries (6 deliveries that kill their worker, then a record). Attempts are counted where a failure is caught, not where a delivery starts. Sequence: the transmission kills its worker each time (out of memory); nothing is caught, attempts stays 0; after RQ's five deliveries the sweep publishes again, every half hour, without end; the authority is called each time and no dead letter is written.",
        "edits": [
            (
                "README.md",
'''\
under the same number however often it is tried. There are five attempts, counted in the row, dead workers included.
''',
'''\
under the same number however often it is tried. There are five attempts; the failed ones are counted in the row.
''',
            ),
            (
                "lohnbuero/jobs.py",
'''\
        log = log.bind(attempt=declaration.attempts)
        log.bind(outcome="started").info("declaration started")
        if declaration.attempts > config.MAX_ATTEMPTS:
            raise UsedUp(f"{config.MAX_ATTEMPTS} attempts ended without a word")
        if declaration.status == Status.RELEASED:
            ticket = Authority().transmit(
                transmission_no=declaration.transmission_no,
                employer_no=declaration.employer.number,
                period=declaration.period,
                gross_cents=declaration.gross_cents,
            )
            declaration = service.record_ticket(declaration.id, ticket)
            log.bind(outcome="transmitted", ticket=ticket).info("declaration transmitted")
        if declaration.status == Status.TRANSMITTED:
            mailer.send(mailer.receipt(declaration))
            service.finish(declaration.id)
    except Exception as error:
        reason = reason_of(error)
        if may_pass(error) and (declaration is None or declaration.attempts < config.MAX_ATTEMPTS):
''',
'''\
        log = log.bind(attempt=declaration.attempts + 1)
        log.bind(outcome="started").info("declaration started")
        if declaration.attempts >= config.MAX_ATTEMPTS:
            raise UsedUp(f"{config.MAX_ATTEMPTS} attempts ended without a word")
        if declaration.status == Status.RELEASED:
            ticket = Authority().transmit(
                transmission_no=declaration.transmission_no,
                employer_no=declaration.employer.number,
                period=declaration.period,
                gross_cents=declaration.gross_cents,
            )
            declaration = service.record_ticket(declaration.id, ticket)
            log.bind(outcome="transmitted", ticket=ticket).info("declaration transmitted")
        if declaration.status == Status.TRANSMITTED:
            mailer.send(mailer.receipt(declaration))
            service.finish(declaration.id)
    except Exception as error:
        reason = reason_of(error)
        if may_pass(error) and (declaration is None or declaration.attempts + 1 < config.MAX_ATTEMPTS):
            if declaration is not None:
                service.count_failure(declaration.id)
''',
            ),
            (
                "lohnbuero/service.py",
'''\
    """The declaration, one attempt on; None if it is at its end."""
    with UnitOfWork() as uow:
        started = uow.declarations.move(
            declaration_id,
            OPEN,
            attempts=Declaration.attempts + 1,
            due_at=now() + config.PATIENCE,
        )
        declaration = uow.declarations.get(declaration_id)
        uow.commit()
    if declaration is None:
        raise UnknownDeclaration(f"no declaration {declaration_id}")
    if declaration.status == Status.DRAFT:
        raise NotReleased(f"declaration {declaration_id} is a draft")
    return declaration if started else None
''',
'''\
    """The declaration; None if it is at its end."""
    with UnitOfWork() as uow:
        started = uow.declarations.move(declaration_id, OPEN, due_at=now() + config.PATIENCE)
        declaration = uow.declarations.get(declaration_id)
        uow.commit()
    if declaration is None:
        raise UnknownDeclaration(f"no declaration {declaration_id}")
    if declaration.status == Status.DRAFT:
        raise NotReleased(f"declaration {declaration_id} is a draft")
    return declaration if started else None


@insisting
def count_failure(declaration_id):
    with UnitOfWork() as uow:
        uow.declarations.move(declaration_id, OPEN, attempts=Declaration.attempts + 1)
        uow.commit()
''',
            ),
        ],
    },
]
