"""A voucher credited to a wallet that other vouchers are credited to: nothing leaves the database."""

from run import Mutant, Variant

DRIVER = "celery"
TASKS, BOOK, MODELS = "wallets/tasks.py", "wallets/book.py", "wallets/models.py"
SPEC = ".skillrun/jobs/credit.yaml"
INSERT = "        session.execute(insert(Entry).values(voucher=voucher, wallet_id=wallet, cents=cents))\n"
UPDATE = "    changed = session.execute(update(Wallet).where(Wallet.id == wallet).values(cents=Wallet.cents + cents))\n"
IMPORT = (BOOK, "from sqlalchemy import insert, update\n", "from sqlalchemy import insert, select, update\n")
READ = "session.execute(select(Wallet.cents).where(Wallet.id == wallet)).scalar_one_or_none()"
SET = "    changed = session.execute(update(Wallet).where(Wallet.id == wallet).values(cents={}))\n"
WORK = """    with Session.begin() as session:
        booked = book.add(session, voucher, wallet, cents)
"""
OPEN = (TASKS, WORK, WORK.replace("Session.begin()", "Session()") + "        session.commit()\n")
ROLLBACK = "        session.rollback()\n        return False\n"
BODY = f"""    try:
{INSERT}    except IntegrityError:
{ROLLBACK}{UPDATE}    if not changed.rowcount:
        raise NoSuchWallet(wallet)
    return True
"""

MUTANTS = [
    Mutant("C01", "reads the balance first, writes it later: a lost update",
           (IMPORT, (BOOK, "    try:\n", f"    before = {READ}\n    try:\n"), (BOOK, UPDATE, SET.format("(before or 0) + cents"))), quick=True),
    Mutant("C02", "the balance is read in a transaction of its own",
           ((TASKS, WORK, f"""    with Session() as other:
        before = other.get(book.Wallet, wallet)
{WORK}"""), (TASKS, "session, voucher, wallet, cents)", "session, voucher, wallet, cents, before.cents if before else 0)"),
            (BOOK, "wallet: int, cents: int) -> bool", "wallet: int, cents: int, before: int) -> bool"),
            (BOOK, UPDATE, SET.format("before + cents")))),
    Mutant("C03", "looks for the entry, then acts; the table takes two of one voucher",
           ((MODELS, "    voucher: Mapped[str] = mapped_column(primary_key=True)\n    wallet_id",
             "    id: Mapped[int] = mapped_column(primary_key=True)\n    voucher: Mapped[str]\n    wallet_id"), IMPORT,
            (BOOK, f"    try:\n{INSERT}    except IntegrityError:\n{ROLLBACK}",
             f"    if session.execute(select(Entry.voucher).where(Entry.voucher == voucher)).first():\n        return False\n{INSERT[4:]}"))),
    Mutant("C04", "the entry is committed before the balance changes", (OPEN, (BOOK, UPDATE, f"    session.commit()\n{UPDATE}"))),
    Mutant("C05", "the balance changes although the entry was there",
           ((BOOK, ROLLBACK, "        session.rollback()\n"),)),
    Mutant("C06", "one entry a wallet: a second voucher is taken for the first",
           ((BOOK, INSERT, INSERT.replace("voucher=voucher", "voucher=str(wallet)")),)),
    Mutant("C07", "the balance changes first, in a commit of its own",
           (OPEN, (BOOK, BODY, f"""{UPDATE}    if not changed.rowcount:
        raise NoSuchWallet(wallet)
    session.commit()
    try:
{INSERT}    except IntegrityError:
{ROLLBACK}    return True
"""),)),
    Mutant("C08", "nothing remembers the voucher", ((BOOK, BODY, f"{UPDATE}    if not changed.rowcount:\n        raise NoSuchWallet(wallet)\n    return True\n"),)),
    Mutant("C09", "the session is closed without a commit", ((TASKS, "    with Session.begin() as session:\n        booked", "    with Session() as session:\n        booked"),)),
    Mutant("C10", "one session for the life of the worker, and nobody rolls it back after an error",
           ((MODELS, "DeclarativeBase, Mapped, mapped_column, sessionmaker", "DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker"),
            (MODELS, "Session = sessionmaker(engine)\n", "Session = sessionmaker(engine)\nregistry = scoped_session(Session)\n"),
            (TASKS, "DeadCredit, Session", "DeadCredit, Entry, Session, registry"),
            (TASKS, WORK, """    session = registry()
    entry = session.get(Entry, voucher)
    booked = entry is None
    if booked:
        session.add(Entry(voucher=voucher, wallet_id=wallet, cents=cents))
        book.add(session, wallet, cents)
    session.commit()
"""),
            (BOOK, "voucher: str, wallet: int", "wallet: int"),
            (BOOK, f"    try:\n{INSERT}    except IntegrityError:\n{ROLLBACK}", ""))),
    Mutant("C11", "the vouchers that this worker has seen are skipped, also after an error",
           ((TASKS, "    with Session.begin() as session:\n        booked", "    if voucher in SEEN:\n        return\n    SEEN.add(voucher)\n    with Session.begin() as session:\n        booked"),
            (TASKS, "log = logging.getLogger(__name__)\n", "log = logging.getLogger(__name__)\nSEEN: set[str] = set()\n"))),
    Mutant("D01", "retries for ever", ((TASKS, "max_retries = 4", "max_retries = None"),)),
    Mutant("D02", "everything is retried", ((TASKS, "autoretry_for = (OperationalError,)", "autoretry_for = (Exception,)"),)),
    Mutant("D03", "nothing is retried", ((TASKS, "    autoretry_for = (OperationalError,)\n", ""),)),
    Mutant("E01", "a wallet that is not there is ignored", ((BOOK, "        raise NoSuchWallet(wallet)\n", "        return False\n"),),
           keeps="no message of the proof names such a wallet, and the injected error comes before the adapter; said in docs/proof.md"),
    Mutant("E02", "a dead letter for each attempt that failed",
           ((TASKS, "reason=type(exc).__name__))", "reason=type(exc).__name__))\n\n    def retry(self, *args: Any, **kwargs: Any) -> Any:\n"
             "        with Session.begin() as session:\n            session.merge(DeadCredit(payload=str(self.request.kwargs), reason='retried'))\n"
             "        return super().retry(*args, **kwargs)"),)),
    Mutant("E03", "a death while the dead letter is written is the last attempt, and nobody calls on_failure for that one",
           ((TASKS, "task_reject_on_worker_lost=True", "task_reject_on_worker_lost=True, task_retry_on_worker_lost=True"),)),
    Mutant("E04", "a database that is busy at the commit is ignored",
           ((TASKS, WORK, """    session = Session()
    booked = book.add(session, voucher, wallet, cents)
    try:
        session.commit()
    except OperationalError:
        session.rollback()
"""),)),
    Mutant("F01", "an error becomes a result",
           ((TASKS, WORK, f"""    try:
    {WORK.replace(chr(10) + "        booked", chr(10) + "            booked")}    except Exception:
        log.exception("credit of voucher %s failed", voucher)
        return
"""),)),
    Mutant("F02", "says that it is credited before it is",
           ((TASKS, WORK, f'    log.info("voucher %s is credited", voucher)\n{WORK}'),
            (TASKS, 'log.info("voucher %s is credited" if booked else "voucher %s was credited before", voucher)', "del booked"))),
    Mutant("G01", "any amount is booked", ((TASKS, '    if not voucher or cents < 1:\n        raise BadVoucher(f"{voucher!r} over {cents!r}")\n', ""),)),
]  # fmt: skip

VARIANTS = [
    Variant("on-conflict", "lets the database say whether the entry is new", edits=(
        (BOOK, "from sqlalchemy import insert, update\nfrom sqlalchemy.exc import IntegrityError\n",
         "from sqlalchemy import update\nfrom sqlalchemy.dialects.sqlite import insert\n"),
        (BOOK, f"    try:\n{INSERT}    except IntegrityError:\n{ROLLBACK}", """    entry = insert(Entry).values(voucher=voucher, wallet_id=wallet, cents=cents)
    if not session.execute(entry.on_conflict_do_nothing()).rowcount:
        return False
"""),
    )),
    Variant("balance-after", "takes the write lock with the entry, then reads and writes the balance", quick=True, edits=(
        (BOOK, UPDATE, f"    session.flush()\n    found = session.get(Wallet, wallet)\n    if found is None:\n        raise NoSuchWallet(wallet)\n    found.cents = found.cents + cents\n"),
        (BOOK, "    if not changed.rowcount:\n        raise NoSuchWallet(wallet)\n", ""),
    )),
    Variant("optimistic", "changes the balance only if it is still what was read, and is retried otherwise", edits=(
        IMPORT, (BOOK, "from sqlalchemy.exc import IntegrityError\n", "from sqlalchemy.exc import IntegrityError, OperationalError\n"),
        (BOOK, "    try:\n", f"    before = {READ}\n    if before is None:\n        raise NoSuchWallet(wallet)\n    try:\n"),
        (BOOK, UPDATE, """    same = (Wallet.id == wallet, Wallet.cents == before)
    changed = session.execute(update(Wallet).where(*same).values(cents=before + cents))
"""),
        (BOOK, "        raise NoSuchWallet(wallet)\n    return True", "        raise OperationalError(\"the balance has changed\", None, Exception())\n    return True"),
    )),
    Variant("sum", "the balance is the sum of its entries", edits=(
        (BOOK, "from sqlalchemy import insert, update\n", "from sqlalchemy import func, insert, select, update\n"),
        (BOOK, UPDATE, """    total = select(func.sum(Entry.cents)).where(Entry.wallet_id == wallet).scalar_subquery()
    changed = session.execute(update(Wallet).where(Wallet.id == wallet).values(cents=1000 + total))
"""),
    )),
]  # fmt: skip
