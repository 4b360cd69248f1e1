"""kills-worker: a message that kills its process each time it is worked on."""

EVENT = "kills-worker"

VARIANTS = [
    # ------------------------------------------------------------------ 1
    {
        "base": "mailcourier", "id": "p-kills-worker-1", "kind": "mistake", "job": "deliver-copy", "event": EVENT,
        "what": "What the rescue takes up again starts with no attempts on its account ('after the night without a relay "
                "everything had used up its five'): a letter that kills its worker is taken up every quarter of an hour, "
                "its attempts are reset each time, and it never reaches undeliverable (worker.deliveries 6)",
        "edits": [
            (
                "mailcourier/deliveries.py",
                "def queued(issue_id, subscriber_id):\n",
                '''def start_afresh(issue_id, subscriber_id):
    """It was lost, which is not the letter's fault: the next one to take it up has all attempts again."""
    with transaction() as con:
        con.execute(
            "update deliveries set attempts = 0 where issue_id = ? and subscriber_id = ? "
            "and status in ('queued', 'sending') and due_at <= ?",
            (issue_id, subscriber_id, int(time.time())),
        )


def queued(issue_id, subscriber_id):
''',
            ),
            (
                "mailcourier/dispatch.py",
                '''        log.warning("delivery stood still, queued again", extra={"job": "deliver-copy", **dict(row)})
        _publish(*row)
''',
                '''        log.warning("delivery stood still, queued again", extra={"job": "deliver-copy", **dict(row)})
        deliveries.start_afresh(*row)
        _publish(*row)
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ 2
    {
        "base": "farmledger", "id": "p-kills-worker-2", "kind": "mistake", "job": "pay-out", "event": EVENT,
        "what": "attempts is set from Celery's retries instead of being counted up, so that the office reads 'attempt 3 of "
                "6' and not 9 after a second message; a message whose worker is killed comes back with the same header, "
                "so the number stands still, AttemptsUsedUp is never raised and it is delivered for ever (worker.deliveries 7)",
        "edits": [
            (
                "payouts/tasks.py",
                '''        """Count the attempt, in a commit of its own: a worker that dies counts, too."""
''',
                '''        """Note which attempt this is, in a commit of its own; the office sees it while we work."""
''',
            ),
            (
                "payouts/tasks.py",
                '''        counted = Payout.objects.filter(pk=payout_id, status__in=Payout.PAYABLE).update(attempts=F("attempts") + 1)
''',
                '''        attempt = self.request.retries + 1
        counted = Payout.objects.filter(pk=payout_id, status__in=Payout.PAYABLE).update(attempts=attempt)
''',
            ),
            ("payouts/tasks.py", "from django.db.models import F\n", ""),
        ],
    },
    # ------------------------------------------------------------------ 3
    {
        "base": "gymnote", "id": "p-kills-worker-3", "kind": "mistake", "job": "dun-member", "event": EVENT,
        "what": "The rescue leaves out what has been started as often as it may ('_begin would only refuse it'); but that "
                "refusal is what buries it: after eight killed workers the dunning stays 'queued' for good, no dead job, "
                "the member neither paid nor blocked (worker.deliveries 9, nothing vanishes without a record)",
        "edits": [
            (
                "gymnote/outbox.py",
                '''                Dunning.state == "queued", Dunning.touched_at < utcnow() - STUCK_AFTER
''',
                '''                Dunning.state == "queued",
                Dunning.touched_at < utcnow() - STUCK_AFTER,
                # the others have had all their starts, no use in queueing them
                Dunning.starts < MAX_STARTS,
''',
            ),
            (
                "gymnote/outbox.py",
                '''from gymnote.db import Dunning, Invoice, Session, utcnow
''',
                '''from gymnote.db import Dunning, Invoice, Session, utcnow
from gymnote.dunning import MAX_STARTS
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ 4
    {
        "base": "seedlibrary", "id": "p-kills-worker-4", "kind": "mistake", "job": "mail-invoice", "event": EVENT,
        "what": "GaveUp is raised only where a reason is written down ('restarts in the middle are nobody's fault, and the "
                "clerk wants to read why'); a worker that is killed writes none, so an invoice that kills each worker is "
                "claimed a sixth, seventh ... time and never becomes a dead job (bounded attempts: max_attempts 5)",
        "edits": [
            (
                "billing/invoicing.py",
                '''    if invoice.attempts >= MAX_ATTEMPTS:
        raise GaveUp(f"{invoice.number}: no result after {invoice.attempts} attempts")
''',
                '''    if invoice.attempts >= MAX_ATTEMPTS and invoice.reason:
        raise GaveUp(f"{invoice.number}: {invoice.reason} after {invoice.attempts} attempts")
''',
            ),
            (
                "billing/invoicing.py",
                '''    """All attempts are used up and none of them came back."""
''',
                '''    """All attempts are used up; the invoice says what the last of them died of."""
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ 5
    {
        "base": "clinicsync", "id": "p-kills-worker-5", "kind": "mistake", "job": "send-reminder", "event": EVENT,
        "what": "A reminder in 'sending' is not given up when it is claimed, since another worker may be at it this very "
                "moment; but a killed worker leaves it in 'sending', so the sixth, seventh ... delivery goes out to "
                "Textbee as well; arq and the rescue bring it back without end (worker.deliveries 5)",
        "edits": [
            (
                "clinicsync/ledger.py",
                '''        if reminder["attempts"] >= MAX_ATTEMPTS:
            raise GaveUp(''',
                '''        # not while it is being sent: the last attempt may be under way next door
        if reminder["attempts"] >= MAX_ATTEMPTS and reminder["status"] != "sending":
            raise GaveUp(''',
            ),
        ],
    },
    # ------------------------------------------------------------------ ok 1
    {
        "base": "claims", "id": "ok-kills-worker-1", "kind": "correct", "job": "pay-instalment", "event": EVENT,
        "what": "A middleware keeps a row per message from its beginning to its orderly end, whatever that is; a message "
                "that was begun three times and never came to an end is recorded as dead and skipped before the actor runs",
        "edits": [
            (
                ".skillrun/jobs/pay-instalment.yaml",
                "dead_letter: {kind: table, where: dead_letters}\n",
                "dead_letter: {kind: table, where: dead_letters}\nworker: {deliveries: 4}\n",
            ),
            (".skillrun/jobs/pay-instalment.yaml", "not_state: [outbox]", "not_state: [outbox, begun]"),
            (
                "backoffice/adapters/orm.py",
                'dead_letters = Table(\n',
                '''begun = Table(
    "begun", mapper.metadata,
    Column("message_id", String(64), primary_key=True),
    Column("times", Integer, nullable=False),
)
dead_letters = Table(
''',
            ),
            (
                "backoffice/adapters/orm.py",
                "mapper.map_imperatively(model.DeadLetter, dead_letters)\n",
                "mapper.map_imperatively(model.DeadLetter, dead_letters)\nmapper.map_imperatively(model.Begun, begun)\n",
            ),
            (
                "backoffice/adapters/repository.py",
                "class DeadLetters(Repository):\n",
                '''class Begun(Repository):
    def once_more(self, message_id: str) -> int:
        row = self.session.get(model.Begun, message_id)
        if row is None:
            row = model.Begun(message_id)
            self.add(row)
        row.times += 1
        return row.times

    def forget(self, message_id: str) -> None:
        row = self.session.get(model.Begun, message_id)
        if row is not None:
            self.session.delete(row)


class DeadLetters(Repository):
''',
            ),
            (
                "backoffice/domain/model.py",
                "class DeadLetter:\n",
                '''class Begun:
    """A message that a worker has in hand, and how many have had it before."""

    def __init__(self, message_id: str):
        self.message_id = message_id
        self.times = 0


class DeadLetter:
''',
            ),
            (
                "backoffice/service/unit_of_work.py",
                "        self.dead_letters = repository.DeadLetters(self.session)\n",
                "        self.dead_letters = repository.DeadLetters(self.session)\n"
                "        self.begun = repository.Begun(self.session)\n",
            ),
            (
                "backoffice/entrypoints/broker.py",
                "from dramatiq.middleware import Middleware, Retries\n",
                "from dramatiq.middleware import Middleware, Retries, SkipMessage\n",
            ),
            (
                "backoffice/entrypoints/broker.py",
                "def make_broker() -> dramatiq.Broker:\n",
                '''class DeathWatch(Middleware):
    """Ends a message under which the workers die. Its row is written before the actor runs and taken away
    when the attempt has ended, well or badly; what is still there next time was left by a dead worker."""

    MOST = 3

    def before_process_message(self, broker, message):
        payload = json.dumps(list(message.args) or message.kwargs)
        with UnitOfWork() as uow:
            times = uow.begun.once_more(message.message_id)
            if times > self.MOST and uow.dead_letters.get(message.message_id) is None:
                reason = f"begun {self.MOST} times, and none of the workers survived it"
                uow.dead_letters.add(DeadLetter(message.message_id, message.actor_name, payload, reason))
            uow.commit()
        if times > self.MOST:
            log.error("message kills its workers", extra={"message_id": message.message_id, "payload": payload})
            raise SkipMessage

    def after_process_message(self, broker, message, *, result=None, exception=None):
        with UnitOfWork() as uow:
            uow.begun.forget(message.message_id)
            uow.commit()

    def after_skip_message(self, broker, message):
        self.after_process_message(broker, message)


def make_broker() -> dramatiq.Broker:
''',
            ),
            (
                "backoffice/entrypoints/broker.py",
                "    broker.add_middleware(DeadLetters(), before=Retries)\n",
                "    broker.add_middleware(DeadLetters(), before=Retries)\n    broker.add_middleware(DeathWatch())\n",
            ),
        ],
    },
    # ------------------------------------------------------------------ ok 2
    {
        "base": "startup-hooks", "id": "ok-kills-worker-2", "kind": "correct", "job": "deliver", "event": EVENT,
        "what": "Whoever works on a delivery puts his name into the row and takes it out at an orderly end; who finds "
                "another name there counts a strike against the delivery, and the third strike buries it",
        "edits": [
            (
                ".skillrun/jobs/deliver.yaml",
                "dead_letter: {kind: table, where: dead_jobs}\n",
                "dead_letter: {kind: table, where: dead_jobs}\nworker: {deliveries: 4}\n",
            ),
            (
                "hooks/db.py",
                "    receipt text, primary key (event_id, partner));\n",
                "    receipt text,\n"
                "    in_hand text,  -- whose, or who died with it\n"
                "    strikes integer not null default 0, primary key (event_id, partner));\n",
            ),
            (
                "hooks/events.py",
                '''"update deliveries set status = 'pending' where''',
                '''"update deliveries set status = 'pending', in_hand = null, strikes = 0 where''',
            ),
            ("hooks/jobs.py", "import json\nimport logging\n", "import json\nimport logging\nimport uuid\n"),
            (
                "hooks/jobs.py",
                "def mark_dead(db, payload):\n",
                '''class WorkersLost(Exception):
    """Three workers have died with it in their hands."""


STRIKES = 3


def pick_up(event_id, partner, name):
    """Strikes against the delivery so far, or None if it is settled."""
    with tx() as db:
        row = db.execute(
            "update deliveries set strikes = strikes + (in_hand is not null), in_hand = ?"
            " where event_id = ? and partner = ? and status = 'pending' returning strikes",
            (name, event_id, partner),
        ).fetchone()
    return row["strikes"] if row else None


def put_down(event_id, partner, name):
    with tx() as db:
        db.execute(
            "update deliveries set in_hand = null, strikes = 0 where event_id = ? and partner = ? and in_hand = ?",
            (event_id, partner, name),
        )


def mark_dead(db, payload):
''',
            ),
            (
                "hooks/jobs.py",
                '''    receipt = partners.post(row["url"], body, row["secret"], webhook_id=f"{event_id}:{partner}")
''',
                '''    name = uuid.uuid4().hex
    strikes = pick_up(event_id, partner, name)
    if strikes is None:
        log.info("settled meanwhile", extra={"event_id": event_id, "partner": partner})
        return
    if strikes >= STRIKES:
        raise WorkersLost(f"{event_id} for {partner}: {strikes} workers")
    try:
        receipt = partners.post(row["url"], body, row["secret"], webhook_id=f"{event_id}:{partner}")
    except Exception:
        put_down(event_id, partner, name)
        raise
''',
            ),
            (
                "hooks/jobs.py",
                '''"update deliveries set status = 'sent', receipt = ? where''',
                '''"update deliveries set status = 'sent', receipt = ?, in_hand = null where''',
            ),
        ],
    },
]

VARIANTS += [{'base': 'gemshop',
  'id': 'q-kills-worker-1',
  'kind': 'mistake',
  'job': 'charge-order',
  'event': 'kills-worker',
  'what': "begin() closes open attempts that are older than the actor's time limit (60 s) as 'abandoned', and only then counts the open "
          "ones. Dramatiq hands a dead worker's message out again when its heartbeat is 60 s old: by then the attempt that died is always "
          'older than 60 s. So each delivery finds 0 open attempts, WorkerKeepsDying (4) is never reached, and an order that kills its '
          "worker does so for ever: no failed_jobs row, the order stays 'confirmed' (worker.deliveries: 4). Only deaths in quick "
          "succession (all within 60 s) still count. (started_at is the database's now(), compared as UTC, as the compose file's "
          'PostgreSQL runs.) Base: open attempts stay open, the fifth delivery ends it.',
  'edits': [('gemshop/ledger.py',
             'from dataclasses import dataclass\n\nfrom sqlalchemy import func, select, update\n',
             'from dataclasses import dataclass\n'
             'from datetime import UTC, datetime, timedelta\n'
             '\n'
             'from sqlalchemy import func, select, update\n'),
            ('gemshop/ledger.py', 'MAX_DEATHS = 4\n', 'MAX_DEATHS = 4\nTIME_LIMIT = timedelta(seconds=60)  # no attempt lasts longer\n'),
            ('gemshop/ledger.py',
             '        unfinished = session.scalar(\n',
             '        longest = datetime.now(UTC).replace(tzinfo=None) - TIME_LIMIT\n'
             '        session.execute(  # the back office shows what has no outcome as being charged right now\n'
             '            update(ChargeAttempt)\n'
             '            .where(ChargeAttempt.order_id == order_id, ChargeAttempt.outcome.is_(None),\n'
             '                   ChargeAttempt.started_at < longest)\n'
             '            .values(outcome="abandoned")\n'
             '        )\n'
             '        unfinished = session.scalar(\n')]}]
