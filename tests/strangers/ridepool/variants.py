"""One other way to be right, and three mistakes."""

UOW, TASKS, _HERE, OFFICE = "ridepool/uow.py", "ridepool/tasks.py", "ridepool/base.py", "ridepool/office.py"
J = {"job": "pay-driver"}

POST = '''    """Whoever marks the payout posts the line, in the same transaction."""
    with UnitOfWork() as uow:
        if not uow.payouts.paid(payout.id, ref):
            return False
        uow.statements.post(payout, f"Payout {payout.id}")
        uow.letters.withdraw(payout.key)
    return True
'''

VARIANTS = [
    {
        "id": "ok-line-is-the-mark",
        "kind": "correct",
        **J,
        "what": "The line on the statement is what remembers a payout: its primary key refuses a second one, and start()"
        " and bury() look for the line, not for the status. The unit of work rolls back unless commit() was called. The"
        " task's steps are methods of a service.",
        "edits": [
            (
                UOW,
                '''"""with UnitOfWork() as uow: ...   One write transaction, from the first statement to the commit."""
''',
                '''"""with UnitOfWork() as uow: ...; uow.commit()   What was not committed by then never was."""
''',
            ),
            (
                UOW,
                '''    def __exit__(self, kind, exc, trace) -> None:
        try:
            self._con.execute("rollback" if kind else "commit")
        finally:
            self._con.close()
''',
                '''    def commit(self) -> None:
        self._con.execute("commit")

    def __exit__(self, kind, exc, trace) -> None:
        self._con.close()
''',
            ),
            (
                UOW,
                '''    def post(self, payout: Payout, text: str) -> None:
''',
                '''    def has(self, payout_id: int) -> bool:
        return self._con.execute("select 1 from statement_lines where payout_id = ?", (payout_id,)).fetchone() is not None

    def post(self, payout: Payout, text: str) -> None:
''',
            ),
            (
                TASKS,
                '''import time

from ridepool import office, settings
''',
                '''import sqlite3
import time

from ridepool import office, settings
''',
            ),
            (
                TASKS,
                '''    log = self.log(message)
    payout = start(payout_id)
    if payout.status != "approved":
        log.info("nothing_to_do", outcome=payout.status)
        return
    log.info("payout_started", outcome="started", start=payout.starts)
    with Paywire() as paywire:
        ref = paywire.pay(account=payout.account, cents=payout.cents, idempotency_key=payout.key)
    first = post(payout, ref)
    log.info("payout_paid", outcome="paid" if first else "known", paywire_ref=ref)


def start(payout_id: int) -> Payout:
    with UnitOfWork() as uow:
        payout = uow.payouts.get(payout_id)
        if payout is None:
            raise UnknownPayout(f"no payout {payout_id}")
        if payout.status == "draft":
            raise NotApproved(f"payout {payout_id} is a draft")
        if payout.status != "approved":
            return payout
        if payout.first_try_at is not None and time.time() - payout.first_try_at > settings.KEY_USABLE_FOR:
            raise KeyTooOld("first tried more than six days ago")
        if payout.starts >= settings.MAX_STARTS:
            raise TooManyStarts(f"{payout.starts} starts and no end")
        return uow.payouts.started(payout_id)


def post(payout: Payout, ref: str) -> bool:
'''
                + POST,
                '''    PayDriver(payout_id, self.log(message)).run()


class PayDriver:
    def __init__(self, payout_id: int, log) -> None:
        self.payout_id = payout_id
        self.log = log

    def run(self) -> None:
        payout = self.start()
        if payout is None:
            return
        self.log.info("payout_started", outcome="started", start=payout.starts)
        with Paywire() as paywire:
            ref = paywire.pay(account=payout.account, cents=payout.cents, idempotency_key=payout.key)
        outcome = "paid" if self.post(payout, ref) else "known"
        self.log.info("payout_paid", outcome=outcome, paywire_ref=ref)

    def start(self) -> Payout | None:
        with UnitOfWork() as uow:
            if uow.statements.has(self.payout_id):
                self.log.info("nothing_to_do", outcome="paid")
                return None
            payout = uow.payouts.get(self.payout_id)
            if payout is None:
                raise UnknownPayout(f"no payout {self.payout_id}")
            if payout.status == "draft":
                raise NotApproved(f"payout {payout.id} is a draft")
            if payout.status == "failed":
                self.log.info("nothing_to_do", outcome="failed")
                return None
            if payout.first_try_at is not None and time.time() - payout.first_try_at > settings.KEY_USABLE_FOR:
                raise KeyTooOld("first tried more than six days ago")
            if payout.starts >= settings.MAX_STARTS:
                raise TooManyStarts(f"{payout.starts} starts and no end")
            payout = uow.payouts.started(payout.id)
            uow.commit()
        return payout

    def post(self, payout: Payout, ref: str) -> bool:
        with UnitOfWork() as uow:
            try:
                uow.statements.post(payout, f"Payout {payout.id}")
            except sqlite3.IntegrityError:
                return False
            uow.payouts.paid(payout.id, ref)
            uow.letters.withdraw(payout.key)
            uow.commit()
        return True
''',
            ),
            (
                _HERE,
                '''        payout = uow.payouts.get(payout_id) if payout_id else None
        if payout is not None:
            if payout.status in ("paid", "failed"):
                return False
            uow.payouts.failed(payout_id)
''',
                '''        payout = uow.payouts.get(payout_id) if payout_id else None
        if payout is not None:
            if payout.status == "failed" or uow.statements.has(payout_id):
                return False
            uow.payouts.failed(payout_id)
''',
            ),
            (
                _HERE,
                '''        uow.letters.write(ref, task, task_id, text, error)
''',
                '''        uow.letters.write(ref, task, task_id, text, error)
        uow.commit()
''',
            ),
            (
                OFFICE,
                '''        approved = uow.payouts.approve(payout_id)
''',
                '''        approved = uow.payouts.approve(payout_id)
        uow.commit()
''',
            ),
            (
                OFFICE,
                '''        uow.payouts.published(payout_id)
''',
                '''        uow.payouts.published(payout_id)
        uow.commit()
''',
            ),
        ],
    },
    {
        "id": "m-clock-starts-with-a-lost-answer",
        "kind": "mistake",
        **J,
        "what": "Breaks effects.pay.window (7d) and with it the key: first_try_at is what keeps a key from being used when"
        " Paywire may have forgotten it. It is no longer set when an attempt begins, but when Paywire has given no"
        " answer. Paywire pays, the worker is killed before post(): first_try_at stays NULL. The message comes back"
        " after more than seven days (the host was restored from its image, the queue with it): the guard sees no first"
        " try, Paywire does not know the key any more, and the driver is paid a second time.",
        "edits": [
            (
                UOW,
                '''        self._changed(
            "update payouts set starts = starts + 1, first_try_at = coalesce(first_try_at, ?), changed_at = ?"
            " where id = ?",
            now,
            now,
            payout_id,
        )
        return self.get(payout_id)
''',
                '''        self._changed("update payouts set starts = starts + 1, changed_at = ? where id = ?", now, payout_id)
        return self.get(payout_id)

    def unanswered(self, payout_id: int) -> None:
        now = time.time()
        self._changed(
            "update payouts set first_try_at = coalesce(first_try_at, ?), changed_at = ? where id = ?",
            now,
            now,
            payout_id,
        )
''',
            ),
            (
                TASKS,
                '''    with Paywire() as paywire:
        ref = paywire.pay(account=payout.account, cents=payout.cents, idempotency_key=payout.key)
''',
                '''    try:
        with Paywire() as paywire:
            ref = paywire.pay(account=payout.account, cents=payout.cents, idempotency_key=payout.key)
    except PaywireDown:
        with UnitOfWork() as uow:
            uow.payouts.unanswered(payout.id)
        raise
''',
            ),
            (
                TASKS,
                '''from ridepool.paywire import Paywire
''',
                '''from ridepool.paywire import Paywire, PaywireDown
''',
            ),
        ],
    },
    {
        "id": "m-line-before-the-mark",
        "kind": "mistake",
        **J,
        "what": "Breaks proof.state (balances): a payout lowers the balance once. The line is posted in one unit of work"
        " and the payout is marked in the next; posting it again was made harmless for the line (on conflict do"
        " nothing), not for the balance. Paywire pays, the line and the balance are committed, the worker is killed"
        " before the mark (or that transaction fails with 'database is locked'); the redelivery finds 'approved', pays"
        " under the same key, leaves the line as it is and lowers the balance a second time.",
        "edits": [
            (
                TASKS,
                POST,
                '''    """The line first, so that a paid payout always has one; then the mark."""
    with UnitOfWork() as uow:
        if uow.payouts.get(payout.id).status == "paid":
            return False
        uow.statements.post(payout, f"Payout {payout.id}")
    with UnitOfWork() as uow:
        uow.payouts.paid(payout.id, ref)
        uow.letters.withdraw(payout.key)
    return True
''',
            ),
            (
                UOW,
                '''            "insert into statement_lines (payout_id, driver_id, cents, text) values (?, ?, ?, ?)",
''',
                '''            "insert into statement_lines (payout_id, driver_id, cents, text) values (?, ?, ?, ?)"
            " on conflict (payout_id) do nothing",
''',
            ),
        ],
    },
    {
        "id": "m-everything-is-tried-again",
        "kind": "mistake",
        **J,
        "what": "Breaks failures.permanent: what stays wrong is not tried again. The house's task retries whatever it does"
        " not know, so that nobody has to extend the tuple, and excepts Paywire's refusal alone. A message for a payout"
        " that does not exist (or for a draft, or with a payout_id that is none, or whose key is too old) raises"
        " UnknownPayout, is published again four times over two and a half minutes, and gets its dead letter only after"
        " the fifth attempt.",
        "edits": [
            (
                _HERE,
                '''    What a task raises is either in `autoretry_for`, or final.
''',
                '''    A refusal is final.
''',
            ),
            (
                _HERE,
                '''    autoretry_for = (PaywireDown, sqlite3.OperationalError)
''',
                '''    autoretry_for = (Exception,)
    dont_autoretry_for = (PaywireRefused,)
''',
            ),
            (
                _HERE,
                '''from ridepool.paywire import PaywireDown
''',
                '''from ridepool.paywire import PaywireRefused
''',
            ),
        ],
    },
]
