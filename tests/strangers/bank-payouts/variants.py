SERVICE, TASKS, OUTBOX, UOW, REPOS = ("bank_payouts/" + n for n in ("service.py", "tasks.py", "outbox.py", "uow.py", "repositories.py"))
MODELS, RAIL, LOGS = "bank_payouts/models.py", "bank_payouts/rail.py", "bank_payouts/logs.py"

TRY = '''    attempt = self.request.retries + 1
    try:
        service.send(message, attempt)
    except WORTH_ANOTHER_TRY as error:
        log = logs.job_log(service.JOB, payout_id=label(message), attempt=attempt, error=repr(error))
        log.warning("attempt failed")
        raise self.retry(exc=error, countdown=pause(self.request.retries))
'''
TRANSFER = '''    reference = rail.transfer(
        iban=order.iban,
        amount_cents=order.amount_cents,
        reference=order.payout_id,
        idempotency_key=f"payout:{order.payout_id}",
    )
'''
COMPLETE = '''        payout = uow.payouts.get(order.payout_id)
        if payout.status == SENT:
            return
        payout.status = SENT
        payout.rail_reference = rail_reference
        uow.entries.add(payout_id=payout.id, account_id=payout.account_id, amount_cents=payout.amount_cents)
        account = uow.accounts.get(payout.account_id)
        account.balance_cents -= payout.amount_cents
        uow.commit()
'''
BURY = '''        uow.dead_letters.add_once(JOB, key, body=json.dumps(message, default=str), error=f"{type(error).__name__}: {error}")
        payout = None if invalid else uow.payouts.get(label(message))
        if payout is not None and payout.status != SENT:
            payout.status = REJECTED if isinstance(error, rail.RailRejected) else FAILED
        uow.commit()
'''
INBOX_MODEL = '''class OutboxMessage(Base):'''

VARIANTS = [
    dict(id="ok-1", kind="correct", job="send-payout",
         what="Completion by one conditional UPDATE and its row count, the debit computed by the database",
         edits=[
             (SERVICE, COMPLETE, '''        if not uow.payouts.settle(order.payout_id, rail_reference):
            return
        uow.entries.add(payout_id=order.payout_id, account_id=order.account_id, amount_cents=order.amount_cents)
        uow.accounts.debit(order.account_id, order.amount_cents)
        uow.commit()
'''),
             (REPOS, "from sqlalchemy import select\n", "from sqlalchemy import select, update\n"),
             (REPOS, "import Account, DeadLetter, Entry, OutboxMessage, Payout, now", "import SENT, Account, DeadLetter, Entry, OutboxMessage, Payout, now"),
             (REPOS, "    model = Account\n", '''    model = Account

    def debit(self, account_id, cents):
        self.session.execute(
            update(Account).where(Account.id == account_id)
            .values(balance_cents=Account.balance_cents - cents, version=Account.version + 1)
        )
'''),
             (REPOS, "    model = Payout\n", '''    model = Payout

    def settle(self, payout_id, rail_reference):
        changed = self.session.execute(
            update(Payout).where(Payout.id == payout_id, Payout.status != SENT)
            .values(status=SENT, rail_reference=rail_reference, version=Payout.version + 1)
        )
        return changed.rowcount == 1
'''),
         ]),
    dict(id="ok-2", kind="correct", job="send-payout",
         what="An inbox table: its row is inserted in the transaction that books the debit, and a unique violation means that another delivery was first",
         edits=[
             (MODELS, INBOX_MODEL, '''class InboxMessage(Base):
    """A message that has been handled; written together with what it changed."""
    __tablename__ = "inbox"
    consumer: Mapped[str] = mapped_column(String(40), primary_key=True)
    message_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    handled_at: Mapped[datetime] = mapped_column(default=now)


class OutboxMessage(Base):'''),
             (REPOS, "OutboxMessage, Payout, now", "InboxMessage, OutboxMessage, Payout, now"),
             (REPOS, "class Outbox(Repository):", '''class Inbox(Repository):
    model = InboxMessage

    def handled(self, consumer, message_key):
        return self.get((consumer, message_key)) is not None

    def record(self, consumer, message_key):
        self.add(consumer=consumer, message_key=message_key)
        self.session.flush()


class Outbox(Repository):'''),
             (UOW, "        self.outbox = repositories.Outbox(self.session)\n",
              "        self.outbox = repositories.Outbox(self.session)\n        self.inbox = repositories.Inbox(self.session)\n"),
             (SERVICE, "import json\n\nfrom", "import json\n\nfrom sqlalchemy.exc import IntegrityError\n\nfrom"),
             (SERVICE, "    with UnitOfWork() as uow:\n        payout = uow.payouts.get(order.payout_id)\n        if payout is None:",
              "    with UnitOfWork() as uow:\n        if uow.inbox.handled(JOB, order.payout_id):\n            return False\n        payout = uow.payouts.get(order.payout_id)\n        if payout is None:"),
             (SERVICE, COMPLETE, '''        try:
            uow.inbox.record(JOB, order.payout_id)
        except IntegrityError:
            return
        payout = uow.payouts.get(order.payout_id)
        payout.status = SENT
        payout.rail_reference = rail_reference
        uow.entries.add(payout_id=payout.id, account_id=payout.account_id, amount_cents=payout.amount_cents)
        account = uow.accounts.get(payout.account_id)
        account.balance_cents -= payout.amount_cents
        uow.commit()
'''),
         ]),
    dict(id="ok-3", kind="correct", job="send-payout",
         what="autoretry_for with Celery's own backoff; the attempt that failed is logged in on_retry",
         edits=[
             (TASKS, TRY, "    service.send(message, self.request.retries + 1)\n"),
             (TASKS, '@app.task(bind=True, base=PayoutTask, name="payouts.send", max_retries=settings.MAX_ATTEMPTS - 1)\n', '''@app.task(
    bind=True,
    base=PayoutTask,
    name="payouts.send",
    autoretry_for=WORTH_ANOTHER_TRY,
    max_retries=settings.MAX_ATTEMPTS - 1,
    retry_backoff=settings.RETRY_BASE_SECONDS,
    retry_backoff_max=settings.RETRY_CAP_SECONDS,
    retry_jitter=True,
)
'''),
             (TASKS, '''        service.bury(args[0] if args else kwargs.get("message"), exc)


def pause(retries):
    return random.uniform(0.5, 1) * min(settings.RETRY_CAP_SECONDS, settings.RETRY_BASE_SECONDS * 2**retries)
''', '''        service.bury(args[0] if args else kwargs.get("message"), exc)

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        message = args[0] if args else kwargs.get("message")
        log = logs.job_log(service.JOB, payout_id=label(message), attempt=self.request.retries + 1, error=repr(exc))
        log.warning("attempt failed, will be tried again")
'''),
             (TASKS, "import random\n\n", ""),
         ]),
    dict(id="ok-4", kind="correct", job="send-payout",
         what="The task catches the end itself instead of on_failure: dead letter written in the except branches, then the error raised on",
         edits=[
             (TASKS, TRY, '''    attempt = self.request.retries + 1
    log = logs.job_log(service.JOB, payout_id=label(message), attempt=attempt)
    try:
        service.send(message, attempt)
    except WORTH_ANOTHER_TRY as error:
        if attempt >= settings.MAX_ATTEMPTS:
            log.error("out of attempts", exc_info=True)
            service.bury(message, error)
            raise
        log.warning("attempt failed", extra={"error": repr(error)})
        raise self.retry(exc=error, countdown=pause(self.request.retries))
    except Exception as error:
        log.exception("no point in another try")
        service.bury(message, error)
        raise
'''),
             (TASKS, '''class PayoutTask(Task):
    def on_failure(self, exc, task_id, args, kwargs, einfo):
        service.bury(args[0] if args else kwargs.get("message"), exc)


''', ""),
             (TASKS, "from celery import Celery, Task\n", "from celery import Celery\n"),
             (TASKS, "bind=True, base=PayoutTask, ", "bind=True, "),
         ]),
    dict(id="ok-5", kind="correct", job="send-payout",
         what="No 'sending' state: the payout is read, the rail called, and row, entry and balance written in one unit of work afterwards; the key comes from a helper on the order",
         edits=[
             ("bank_payouts/orders.py", "    @classmethod\n    def read(cls, message):", '''    @property
    def rail_key(self):
        return f"payout:{self.payout_id}"

    @classmethod
    def read(cls, message):'''),
             (SERVICE, '        idempotency_key=f"payout:{order.payout_id}",\n', "        idempotency_key=order.rail_key,\n"),
             (SERVICE, '''            return False
        payout.status = SENDING
        uow.commit()
''', '''            return False
        uow.commit()
'''),
             (SERVICE, "import FAILED, REJECTED, SENDING, SENT", "import FAILED, REJECTED, SENT"),
         ]),
    dict(id="m-1", kind="mistake", job="send-payout", what="A fresh uuid as the rail's key at every attempt",
         edits=[(SERVICE, "import json\n", "import json\nimport uuid\n"),
                (SERVICE, 'idempotency_key=f"payout:{order.payout_id}"', "idempotency_key=str(uuid.uuid4())")]),
    dict(id="m-2", kind="mistake", job="send-payout", what="The rail's key is made of account and amount, which two payouts may share",
         edits=[(SERVICE, 'idempotency_key=f"payout:{order.payout_id}"', 'idempotency_key=f"{order.account_id}:{order.iban}:{order.amount_cents}"')]),
    dict(id="m-3", kind="mistake", job="send-payout", what="A payout that is 'sending' counts as taken, so a redelivery after a death does nothing",
         edits=[(SERVICE, "FINAL = (SENT, REJECTED, FAILED)", "FINAL = (SENDING, SENT, REJECTED, FAILED)")]),
    dict(id="m-4", kind="mistake", job="send-payout", what="The base class RailError is retried, rejections included",
         edits=[(TASKS, "from .rail import RailUnavailable\n", "from .rail import RailError\n"),
                (TASKS, "(RailUnavailable, TimeoutError,", "(RailError, TimeoutError,")]),
    dict(id="m-5", kind="mistake", job="send-payout", what="max_retries=None, so that a payout is never given up",
         edits=[(TASKS, "max_retries=settings.MAX_ATTEMPTS - 1)", "max_retries=None)")]),
    dict(id="m-6", kind="mistake", job="send-payout", what="The unit of work that writes the dead letter is never committed when no payout row is to be changed",
         edits=[(SERVICE, BURY, '''        uow.dead_letters.add_once(JOB, key, body=json.dumps(message, default=str), error=f"{type(error).__name__}: {error}")
        payout = None if invalid else uow.payouts.get(label(message))
        if payout is None or payout.status == SENT:
            return
        payout.status = REJECTED if isinstance(error, rail.RailRejected) else FAILED
        uow.commit()
''')]),
    dict(id="m-7", kind="mistake", job="send-payout", what="The debit is computed from the balance read before the rail was called, and written past the version column",
         edits=[(SERVICE, '''    if not begin(order):
''', '''    with UnitOfWork() as uow:
        account = uow.accounts.get(order.account_id)
        balance = account.balance_cents if account else 0
    if not begin(order):
'''),
                (SERVICE, "    complete(order, reference)\n", "    complete(order, reference, balance - order.amount_cents)\n"),
                (SERVICE, "def complete(order, rail_reference):", "def complete(order, rail_reference, new_balance):"),
                (SERVICE, '''        account = uow.accounts.get(payout.account_id)
        account.balance_cents -= payout.amount_cents
''', '''        uow.accounts.set_balance(payout.account_id, new_balance)
'''),
                (REPOS, "from sqlalchemy import select\n", "from sqlalchemy import select, update\n"),
                (REPOS, "    model = Account\n", '''    model = Account

    def set_balance(self, account_id, cents):
        self.session.execute(update(Account).where(Account.id == account_id).values(balance_cents=cents))
''')]),
    dict(id="m-8", kind="mistake", job="send-payout", what="Completion trusts begin() and does not look at the status again; the entry's unique constraint was dropped for a migration",
         edits=[(SERVICE, "        if payout.status == SENT:\n            return\n        payout.status = SENT\n", "        payout.status = SENT\n"),
                (MODELS, '    __table_args__ = (UniqueConstraint("payout_id"),)\n', "")]),
    dict(id="m-9", kind="mistake", job="send-payout", what="Booked and marked sent before the rail is called, because the transfer 'is idempotent anyway'",
         edits=[(SERVICE, TRANSFER + "    complete(order, reference)\n", '''    complete(order)
    reference = rail.transfer(
        iban=order.iban,
        amount_cents=order.amount_cents,
        reference=order.payout_id,
        idempotency_key=f"payout:{order.payout_id}",
    )
    with UnitOfWork() as uow:
        uow.payouts.get(order.payout_id).rail_reference = reference
        uow.commit()
'''),
                (SERVICE, "def complete(order, rail_reference):", "def complete(order):"),
                (SERVICE, "        payout.rail_reference = rail_reference\n", "")]),
    dict(id="m-10", kind="mistake", job="send-payout", what="Burying overwrites the status whatever it is, also that of a payout another delivery has sent",
         edits=[(SERVICE, "        if payout is not None and payout.status != SENT:\n", "        if payout is not None:\n")]),
    dict(id="m-11", kind="mistake", job="send-payout", what="An unavailable rail is logged and the task ends as if it had worked",
         edits=[(SERVICE, TRANSFER, '''    try:
        reference = rail.transfer(
            iban=order.iban,
            amount_cents=order.amount_cents,
            reference=order.payout_id,
            idempotency_key=f"payout:{order.payout_id}",
        )
    except rail.RailUnavailable as error:
        log.warning("rail unavailable, payout stays in sending", extra={"error": repr(error)})
        return
''')]),
    dict(id="m-12", kind="mistake", job="send-payout", what="The sweep marks the outbox rows as published before it sends them",
         edits=[(OUTBOX, '''        waiting = [(row.id, row.body) for row in uow.outbox.unpublished()]
''', '''        waiting = [(row.id, row.body) for row in uow.outbox.unpublished()]
        for row_id, _ in waiting:
            uow.outbox.mark_published(row_id)
        uow.commit()
'''),
                (OUTBOX, '''        with UnitOfWork() as uow:
            uow.outbox.mark_published(row_id)
            uow.commit()
        log.info("published")
''', '''        log.info("published")
''')]),
    dict(id="m-13", kind="mistake", job="send-payout", what="The request sends the task inside its transaction, before the commit, instead of writing the outbox",
         edits=[(SERVICE, '''            uow.outbox.add(body=order.model_dump())
        uow.commit()
    outbox.publish_pending()
''', '''            uow.session.flush()
            send_payout.apply_async(args=[order.model_dump()])
        uow.commit()
'''),
                (SERVICE, "    with UnitOfWork() as uow:\n        if uow.payouts.get(order.payout_id) is None:", "    from .tasks import send_payout\n\n    with UnitOfWork() as uow:\n        if uow.payouts.get(order.payout_id) is None:"),
                (SERVICE, "from . import outbox, rail\n", "from . import rail\n")]),
    dict(id="m-14", kind="mistake", job="send-payout", what="Logs without the payout: the adapter carries only the job's name",
         edits=[(LOGS, '    return JobLog(logging.getLogger("bank_payouts." + job), {"job": job, **carried})', '    return JobLog(logging.getLogger("bank_payouts." + job), {"job": job})'),
                (LOGS, 'CARRIED = ("job", "payout_id", "attempt", "error", "outbox_id")', 'CARRIED = ("job",)')]),
    dict(id="m-15", kind="mistake", job="send-payout", what="Every exception is worth another try, so a malformed order is tried five times",
         edits=[(TASKS, "    except WORTH_ANOTHER_TRY as error:", "    except Exception as error:")]),
    dict(id="m-16", kind="mistake", job="send-payout", what="Dead letters are kept one per account, which hides the second payout that failed",
         edits=[(SERVICE, "    key = fingerprint(message) if invalid else label(message)\n", '    key = fingerprint(message) if invalid else message["account_id"]\n')]),
    dict(id="m-17", kind="mistake", job="send-payout", what="A malformed order that names a payout marks that payout as failed, although it is underway or was never tried",
         edits=[(SERVICE, "        payout = None if invalid else uow.payouts.get(label(message))\n        if payout is not None and payout.status != SENT:\n",
                 "        payout = uow.payouts.get(label(message))\n        if payout is not None and payout.status != SENT:\n")]),
]
