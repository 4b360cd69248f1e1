"""dedupe-empty: the store that remembers what was done (Redis, a cache, a table) comes back empty."""

EVENT = "dedupe-empty"

VARIANTS = [
    # ------------------------------------------------------------------ 1
    {
        "base": "hosthub", "id": "p-dedupe-empty-1", "kind": "mistake", "job": "provision-server", "event": EVENT,
        "what": "The client token is random (the cloud's support asked for tokens that nobody can guess), drawn once per "
                "server and kept in Redis only: if Redis comes back empty between an attempt whose answer was lost and the "
                "next one, another token is drawn and the cloud makes a second machine, which nobody knows or gives back",
        "edits": [
            (
                "hosthub/jobs.py",
                '''                client_token=f"hosthub-server-{server.id}")
''',
                '''                client_token=await tokens.client_token(server.id))
''',
            ),
            (
                "hosthub/tokens.py",
                '''async def recall(server_id: int)''',
                '''async def client_token(server_id: int) -> str:
    """By what the cloud knows our order: drawn at the first attempt, the same for all that follow."""
    key = f"hosthub:token:{server_id}"
    async with _redis() as redis:
        await redis.set(key, uuid4().hex, nx=True, ex=KEPT)
        return (await redis.get(key)).decode()


async def recall(server_id: int)''',
            ),
            ("hosthub/tokens.py", "import json\n\n", "import json\nfrom uuid import uuid4\n\n"),
            (
                "tests/conftest.py",
                '''return {"id": f"m-{client_token}", "ip": "192.0.2.7"}''',
                '''return {"id": "m-1", "ip": "192.0.2.7"}''',
            ),
            ("tests/test_provision.py", '[("active", "m-hosthub-server-1", "192.0.2.7")]', '[("active", "m-1", "192.0.2.7")]'),
            (
                "tests/test_provision.py",
                '    assert outside.made == ["hosthub-server-1"]\n    assert outside.rows("select server_id',
                '    assert len(outside.made) == 1\n    assert outside.rows("select server_id',
            ),
            (
                "tests/test_provision.py",
                '    assert outside.made == ["hosthub-server-1"] * 2\n',
                "    assert len(outside.made) == 2 and len(set(outside.made)) == 1\n",
            ),
            (
                "tests/test_provision.py",
                '    assert set(outside.made) == {"hosthub-server-1"}\n',
                "    assert len(set(outside.made)) == 1\n",
            ),
        ],
    },
    # ------------------------------------------------------------------ 2
    {
        "base": "parceldesk", "id": "p-dedupe-empty-2", "kind": "mistake", "job": "print-label", "event": EVENT,
        "what": "Swift Freight wants short numeric keys, so each parcel gets the next number of a counter in Redis, written "
                "into its row before the order: when Redis comes back empty the counter begins at 1 again, and for 48 hours "
                "the carrier answers new parcels with the labels of older ones (two parcels, one tracking number)",
        "edits": [
            (
                "parceldesk/queueing.py",
                '''def publish_label(shipment_id, parcel):
    return label_queue().enqueue(
''',
                '''def number(connection, shipment_id, parcel):
    """The carrier knows our order by a number of up to ten digits. A parcel keeps its first one."""
    drawn = connection.incr("parceldesk:label-number")
    with transaction() as con:
        ParcelRepository(con).give_key(shipment_id, parcel, f"{drawn:010}")


def publish_label(shipment_id, parcel):
    queue = label_queue()
    number(queue.connection, shipment_id, parcel)
    return queue.enqueue(
''',
            ),
            (
                "parceldesk/queueing.py",
                "from .config import load\n",
                "from .config import load\nfrom .db import transaction\nfrom .repositories import ParcelRepository\n",
            ),
            ("parceldesk/repositories.py", "    label_state: str\n", "    label_state: str\n    request_key: str | None\n"),
            (
                "parceldesk/repositories.py",
                '"select p.shipment_id, p.parcel, p.grams, p.label_state, s.receiver, s.address"',
                '"select p.shipment_id, p.parcel, p.grams, p.label_state, p.request_key, s.receiver, s.address"',
            ),
            (
                "parceldesk/repositories.py",
                "    def requested(self):\n",
                '''    def give_key(self, shipment_id, parcel, key):
        self.con.execute(
            "update parcels set request_key = ? where shipment_id = ? and parcel = ? and request_key is null",
            (key, shipment_id, parcel),
        )

    def requested(self):
''',
            ),
            (
                "parceldesk/jobs.py",
                '            idempotency_key=f"label-{shipment_id}-{parcel}",\n',
                '            idempotency_key=order.request_key or f"label-{shipment_id}-{parcel}",\n',
            ),
        ],
    },
    # ------------------------------------------------------------------ 3
    {
        "base": "startup-hooks", "id": "p-dedupe-empty-3", "kind": "mistake", "job": "deliver", "event": EVENT,
        "what": "An inbox table says whether a delivery was made, and it alone is asked; the sweep throws away what is older "
                "than the three days for which partners know a Webhook-Id. Once the inbox is empty (swept, or restored "
                "without it) any repetition, a click on 'resend' for one that was sent, posts and bills again; the spec's "
                "dedupe has no window",
        "edits": [
            (
                "hooks/db.py",
                "create table if not exists dead_jobs (",
                "create table if not exists inbox (event_id text not null, partner text not null,\n"
                "    at text not null default current_timestamp, primary key (event_id, partner));\n"
                "create table if not exists dead_jobs (",
            ),
            (
                "hooks/jobs.py",
                '''    if row["status"] != "pending":
        log.info("nothing to do", extra={"event_id": event_id, "partner": partner, "status": row["status"]})
        return
''',
                '''    done = one("select at from inbox where event_id = ? and partner = ?", event_id, partner)
    if done or row["status"] == "dead":
        log.info("nothing to do", extra={"event_id": event_id, "partner": partner, "status": row["status"]})
        return
''',
            ),
            (
                "hooks/jobs.py",
                '''        won = db.execute(
            "update deliveries set status = 'sent', receipt = ? where event_id = ? and partner = ? and status = 'pending'",
            (receipt, event_id, partner),
        ).rowcount
        if won:
''',
                '''        won = db.execute("insert or ignore into inbox (event_id, partner) values (?, ?)", (event_id, partner)).rowcount
        if won:
            db.execute(
                "update deliveries set status = 'sent', receipt = ? where event_id = ? and partner = ?",
                (receipt, event_id, partner),
            )
''',
            ),
            (
                "hooks/jobs.py",
                '''    from .events import publish_pending

    publish_pending()
''',
                '''    from .events import publish_pending

    publish_pending()
    with tx() as db:  # by then the partners have forgotten it, too
        db.execute("delete from inbox where at < datetime('now', '-3 days')")
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ 4
    {
        "base": "school", "id": "p-dedupe-empty-4", "kind": "mistake", "job": "invoice-export", "event": EVENT,
        "what": "The town wants a UUID as MessageID; it is drawn once per invoice and kept in Django's cache (a table of the "
                "database) for the ninety days. Clear the cache between an attempt whose answer was lost and the next, and "
                "the invoice is booked a second time under a new id",
        "edits": [
            (
                ".skillrun/jobs/invoice-export.yaml",
                "  dead_letters: select count(*) from ops_deadjob\n",
                "  not_state: [message_ids]\n  dead_letters: select count(*) from ops_deadjob\n",
            ),
            (
                "schooladmin/settings.py",
                'CELERY_BROKER_URL = os.environ',
                '''# manage.py createcachetable lays it out; all workers see the same
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "message_ids",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

CELERY_BROKER_URL = os.environ''',
            ),
            (
                "ops/management/commands/demo_school.py",
                '''        call_command("migrate", verbosity=0)
''',
                '''        call_command("migrate", verbosity=0)
        call_command("createcachetable", verbosity=0)
''',
            ),
            ("Makefile", "\t$(PY) manage.py migrate\n", "\t$(PY) manage.py migrate\n\t$(PY) manage.py createcachetable\n"),
            (
                "billing/tasks.py",
                '            message_id=f"school-invoice-{invoice.pk}",\n',
                "            message_id=message_id(invoice),\n",
            ),
            (
                "billing/tasks.py",
                '''@shared_task(
    bind=True,
''',
                '''REMEMBERED = 90 * 24 * 3600  # so long the town knows a MessageID


def message_id(invoice):
    """A UUID, as they want it; the same for every attempt at this invoice."""
    return cache.get_or_set(f"message-id-{invoice.pk}", lambda: str(uuid.uuid4()), REMEMBERED)


@shared_task(
    bind=True,
''',
            ),
            ("billing/tasks.py", "import logging\n\nfrom celery import shared_task\n",
             "import logging\nimport uuid\n\nfrom celery import shared_task\nfrom django.core.cache import cache\n"),
        ],
    },
    # ------------------------------------------------------------------ 5
    {
        "base": "claims", "id": "p-dedupe-empty-5", "kind": "mistake", "job": "pay-instalment", "event": EVENT,
        "what": "The bank's new API takes order numbers of nine digits as its key; a table hands them out, one per payout, "
                "committed before the bank is asked. When that table comes back empty (it was left out of the restore as "
                "'only numbers') it counts from 1 again: for thirty days the bank takes new payouts for repetitions of old "
                "ones, they are marked paid and never were, and a payout under way is paid under a second number",
        "edits": [
            (
                "backoffice/adapters/orm.py",
                'dead_letters = Table(\n',
                '''order_numbers = Table(
    "order_numbers", mapper.metadata,
    Column("id", Integer, primary_key=True),
    Column("claim_no", String(16), nullable=False),
    Column("instalment", Integer, nullable=False),
    UniqueConstraint("claim_no", "instalment"),
)
dead_letters = Table(
''',
            ),
            (
                "backoffice/adapters/orm.py",
                "mapper.map_imperatively(model.DeadLetter, dead_letters)\n",
                "mapper.map_imperatively(model.DeadLetter, dead_letters)\n"
                "mapper.map_imperatively(model.OrderNumber, order_numbers)\n",
            ),
            (
                "backoffice/domain/model.py",
                '''    @property
    def bank_key(self) -> str:
        return f"claim-{self.claim_no}-{self.instalment}"

''',
                "",
            ),
            (
                "backoffice/domain/model.py",
                "class LedgerEntry:\n",
                '''class OrderNumber:
    """By which the bank knows a payout."""

    def __init__(self, claim_no: str, instalment: int):
        self.claim_no = claim_no
        self.instalment = instalment

    def __str__(self) -> str:
        return f"{self.id:09}"


class LedgerEntry:
''',
            ),
            (
                "backoffice/adapters/repository.py",
                "class Ledger(Repository):\n",
                '''class OrderNumbers(Repository):
    def of(self, payout: model.Payout) -> model.OrderNumber:
        """The number of the payout, drawn when it is first asked for."""
        key = {"claim_no": payout.claim_no, "instalment": payout.instalment}
        number = self.session.scalars(select(model.OrderNumber).filter_by(**key)).first()
        if number is None:
            number = model.OrderNumber(**key)
            self.add(number)
            self.session.flush()
        return number


class Ledger(Repository):
''',
            ),
            (
                "backoffice/service/unit_of_work.py",
                "        self.ledger = repository.Ledger(self.session)\n",
                "        self.ledger = repository.Ledger(self.session)\n"
                "        self.order_numbers = repository.OrderNumbers(self.session)\n",
            ),
            (
                "backoffice/service/payouts.py",
                '''            "idempotency_key": payout.bank_key,
        }
''',
                '''            "idempotency_key": str(uow.order_numbers.of(payout)),
        }
        uow.commit()
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ ok 1
    {
        "base": "parceldesk", "id": "ok-dedupe-empty-1", "kind": "correct", "job": "print-label", "event": EVENT,
        "what": "Numbers from a counter in Redis, but the counter lives beside a random epoch that is drawn when it is first "
                "counted: a Redis that comes back empty begins a new epoch, whose numbers cannot meet the old ones; the "
                "parcel keeps its first key in its row",
        "edits": [
            (
                "parceldesk/queueing.py",
                '''def publish_label(shipment_id, parcel):
    return label_queue().enqueue(
''',
                '''def draw_key(connection):
    """A key that no parcel had before, also if this Redis has forgotten all of them: its counter then starts
    under another epoch."""
    with connection.pipeline(transaction=True) as pipe:
        pipe.set("parceldesk:label-epoch", secrets.token_hex(8), nx=True)
        pipe.get("parceldesk:label-epoch")
        pipe.incr("parceldesk:label-number")
        _, epoch, number = pipe.execute()
    return f"{epoch.decode()}-{number}"


def publish_label(shipment_id, parcel):
    queue = label_queue()
    key = draw_key(queue.connection)
    with transaction() as con:
        ParcelRepository(con).give_key(shipment_id, parcel, key)
    return queue.enqueue(
''',
            ),
            ("parceldesk/queueing.py", "import random\n", "import random\nimport secrets\n"),
            (
                "parceldesk/queueing.py",
                "from .config import load\n",
                "from .config import load\nfrom .db import transaction\nfrom .repositories import ParcelRepository\n",
            ),
            ("parceldesk/repositories.py", "    label_state: str\n", "    label_state: str\n    request_key: str | None\n"),
            (
                "parceldesk/repositories.py",
                '"select p.shipment_id, p.parcel, p.grams, p.label_state, s.receiver, s.address"',
                '"select p.shipment_id, p.parcel, p.grams, p.label_state, p.request_key, s.receiver, s.address"',
            ),
            (
                "parceldesk/repositories.py",
                "    def requested(self):\n",
                '''    def give_key(self, shipment_id, parcel, key):
        """Keeps the first key of a parcel; what the desk or a worker has used is not taken back."""
        self.con.execute(
            "update parcels set request_key = coalesce(request_key, ?) where shipment_id = ? and parcel = ?",
            (key, shipment_id, parcel),
        )
        return self.con.execute(
            "select request_key from parcels where shipment_id = ? and parcel = ?", (shipment_id, parcel)
        ).fetchone()[0]

    def requested(self):
''',
            ),
            (
                "parceldesk/jobs.py",
                '''    with CarrierClient() as carrier:
        answer = carrier''',
                '''    with transaction() as con:  # a message that was put on the queue by hand has drawn no key
        key = ParcelRepository(con).give_key(shipment_id, parcel, f"label-{shipment_id}-{parcel}")
    with CarrierClient() as carrier:
        answer = carrier''',
            ),
            (
                "parceldesk/jobs.py",
                '            idempotency_key=f"label-{shipment_id}-{parcel}",\n',
                "            idempotency_key=key,\n",
            ),
        ],
    },
    # ------------------------------------------------------------------ ok 2
    {
        "base": "startup-hooks", "id": "ok-dedupe-empty-2", "kind": "correct", "job": "deliver", "event": EVENT,
        "what": "What is billed is not counted up but worked out from the deliveries that are sent, in the same transaction; "
                "a delivery that is made a second time, because somebody has lost its mark, bills nothing more",
        "edits": [
            (
                "hooks/jobs.py",
                '''        won = db.execute(
            "update deliveries set status = 'sent', receipt = ? where event_id = ? and partner = ? and status = 'pending'",
            (receipt, event_id, partner),
        ).rowcount
        if won:
            db.execute("update partners set billed_calls = billed_calls + 1 where name = ?", (partner,))
''',
                '''        db.execute(
            "update deliveries set status = 'sent', receipt = coalesce(receipt, ?) where event_id = ? and partner = ?",
            (receipt, event_id, partner),
        )
        db.execute("delete from dead_jobs where job = 'deliver' and payload = ?", (
            json.dumps({"event_id": event_id, "partner": partner}, sort_keys=True),))
        # never counted up: however often we come by here, it is as many as there are
        db.execute(
            "update partners set billed_calls ="
            " (select count(*) from deliveries d where d.partner = partners.name and d.status = 'sent') where name = ?",
            (partner,),
        )
''',
            ),
        ],
    },
]

VARIANTS += [{'base': 'seedlibrary',
  'id': 'q-dedupe-empty-1',
  'kind': 'mistake',
  'job': 'mail-invoice',
  'event': 'dedupe-empty',
  'what': 'Invoices are numbered without gaps, by how many there are in the month. Sequence: member 1 gets SL-2026-10-0001, member 2 '
          'SL-2026-10-0002; the database is restored from a backup made before the closing, so billing_invoice is empty; copies of the '
          "messages (or close_month again) come, member 2's first: it is drawn up as SL-2026-10-0001 and mailed. Member 2 has two invoices "
          "for one month under two numbers, and 0001 is also member 1's. The spec accepts a repeated mail only 'under the same number'. "
          'Base: the number is made of month and member.',
  'edits': [('billing/invoicing.py',
             '        defaults={"number": f"SL-{month}-{member_id:04d}", "total_cents": total},\n',
             '        defaults={\n'
             '            "number": f"SL-{month}-{Invoice.objects.filter(month=month).count() + 1:04d}",\n'
             '            "total_cents": total,\n'
             '        },\n')]},
 {'base': 'seedlibrary',
  'id': 'q-dedupe-empty-2',
  'kind': 'correct',
  'job': 'mail-invoice',
  'event': 'dedupe-empty',
  'what': 'Correct. Numbers that cannot be guessed look random, but are an HMAC of member and month: whatever becomes of the table, the '
          'same member and month get the same number (36 bits, unique together with the month).',
  'edits': [('billing/invoicing.py',
             'from django.utils import timezone\n',
             'from django.utils import timezone\nfrom django.utils.crypto import salted_hmac\n'),
            ('billing/invoicing.py',
             '        defaults={"number": f"SL-{month}-{member_id:04d}", "total_cents": total},\n',
             '        defaults={"number": number(member_id, month), "total_cents": total},\n'),
            ('billing/invoicing.py',
             'def claim(member_id: int, month: str) -> Invoice | None:\n',
             'def number(member_id: int, month: str) -> str:\n'
             '    """Nobody is to guess a neighbour\'s: the number opens the invoice on the web."""\n'
             '    return f"SL-{month}-{salted_hmac(\'billing.invoice\', f\'{member_id}/{month}\').hexdigest()[:9]}"\n'
             '\n'
             '\n'
             'def claim(member_id: int, month: str) -> Invoice | None:\n'),
            ('billing/tests.py', '["Invoice SL-2026-10-0001"]', '[f"Invoice {invoicing.number(**OCTOBER)}"]')]}]
