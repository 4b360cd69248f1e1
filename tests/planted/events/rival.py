"""rival: another writer commits a change to a row between the job's read and its write or its outside call."""

EVENT = "rival"

VARIANTS = [
    # ------------------------------------------------------------------ 1
    {
        "base": "rentdesk", "id": "p-rival-1", "kind": "mistake", "job": "collect-rent", "event": EVENT,
        "what": "The claim looks at the charge that was read some lines before and saves it, instead of an UPDATE with "
                "conditions: the office waives the rent in between (waive_rent says yes, it was still due), the claim "
                "writes 'collecting' over 'waived', and the tenant is debited all the same",
        "edits": [
            (
                "rents/tasks.py",
                '''    now = timezone.now()
    taken = RentCharge.objects.filter(
        pk=charge.pk, status__in=RentCharge.OPEN, attempts__lt=MAX_ATTEMPTS,
    ).update(status=Status.COLLECTING, attempts=F("attempts") + 1, touched_at=now,
             published_at=Coalesce("published_at", now))
    if taken:
        charge.refresh_from_db()
    return bool(taken)
''',
                '''    if charge.status not in RentCharge.OPEN or charge.attempts >= MAX_ATTEMPTS:
        return False
    charge.status = Status.COLLECTING
    charge.attempts += 1
    charge.touched_at = timezone.now()
    charge.published_at = charge.published_at or charge.touched_at
    charge.save(update_fields=["status", "attempts", "touched_at", "published_at"])
    return True
''',
            ),
            ("rents/tasks.py", "from django.db.models import F\nfrom django.db.models.functions import Coalesce\n", ""),
        ],
    },
    # ------------------------------------------------------------------ 2
    {
        "base": "meters", "id": "p-rival-2", "kind": "mistake", "job": "forecast-refresh", "event": EVENT,
        "what": "The series takes in every reading there is, and the forecast is kept under the version that the meter has "
                "once the answer is there ('saves an order for each reading of a burst'): readings that are taken in while "
                "the service computes are not in the series, but their version is; the message of that version finds a "
                "forecast 'as new already' and the forecast is never made anew",
        "edits": [
            (
                "meterhub/jobs.py",
                '''    """Have the forecast of a meter made anew from its readings up to this version."""
''',
                '''    """Have the forecast of a meter made anew from all its readings; that settles newer versions, too."""
''',
            ),
            (
                "meterhub/jobs.py",
                '''    series = readings.series(meter_id, version)
    if not series:
        raise house.BadMessage(f"no readings of {meter_id} up to version {version}")
''',
                '''    series = readings.series(meter_id)
    if not series:
        raise house.BadMessage(f"no readings of {meter_id}")
''',
            ),
            (
                "meterhub/jobs.py",
                '''    readings.keep_forecast(meter_id, version, answer)
''',
                '''    version = max(version, readings.meter_version(meter_id))
    readings.keep_forecast(meter_id, version, answer)
''',
            ),
            (
                "meterhub/readings.py",
                '''def series(meter_id, version):
    with db.reading() as con:
        return con.execute(
            "select hour, kwh from readings where meter_id = ? and version <= ? order by hour", (meter_id, version)
        ).fetchall()
''',
                '''def series(meter_id):
    with db.reading() as con:
        return con.execute("select hour, kwh from readings where meter_id = ? order by hour", (meter_id,)).fetchall()


def meter_version(meter_id):
    with db.reading() as con:
        row = con.execute("select version from meters where meter_id = ?", (meter_id,)).fetchone()
    return row[0] if row else 0
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ 3
    {
        "base": "hosthub", "id": "p-rival-3", "kind": "mistake", "job": "provision-server", "event": EVENT,
        "what": "Giving up insists: where the row is not the one that was read, it is read again and failed in its new "
                "version ('support had put a note in, and the failure was written nowhere'). If another delivery has set "
                "the server up meanwhile, or somebody has started it anew, it becomes 'failed' with a running machine, a "
                "name and a subscription",
        "edits": [
            (
                "hosthub/jobs.py",
                '''    """Only in the version that we know: where another delivery has got further, it goes on."""
    try:
        await servers.fail(server, saq_key, reason)
    except servers.Changed as changed:
        log.warning("provisioning_left_to_another", reason=str(changed))
    else:
        log.error("provisioning_given_up", reason=reason, exc_info=exc)
''',
                '''    """The failure has to be written down, also where somebody has touched the row since we read it."""
    try:
        await servers.fail(server, saq_key, reason)
    except servers.Changed:
        await servers.fail(await servers.read(server.id), saq_key, reason)
    log.error("provisioning_given_up", reason=reason, exc_info=exc)
''',
            ),
            (
                "hosthub/servers.py",
                '''async def queue(server_id: int) -> bool:
''',
                '''async def read(server_id: int) -> Server:
    async with db.transaction() as tx:
        return await _read(tx, server_id)


async def queue(server_id: int) -> bool:
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ 4
    {
        "base": "streambox", "id": "p-rival-4", "kind": "mistake", "job": "deliver-webhook", "event": EVENT,
        "what": "begin() counts the attempt whatever the delivery's status is, the handler has looked at it a moment ago: "
                "cancelled between that look and the count (the owner deletes the video while the worker waits for Redis), "
                "the customer is told all the same. No word of the spec is about cancelling; the application's "
                "cancel_webhooks promises it",
        "edits": [
            (
                "streambox/tasks.py",
                '''    attempt = await begin(delivery)
    if attempt is None:
        log.info("webhook skipped, it was settled meanwhile")
        return "skipped"
    if attempt > settings.max_attempts:
''',
                '''    attempt = await begin(delivery)
    if attempt > settings.max_attempts:
''',
            ),
            (
                "streambox/tasks.py",
                '''                " where event_id = ? and status = 'pending' returning attempts",
''',
                '''                " where event_id = ? returning attempts",
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ 5
    {
        "base": "clinicsync", "id": "p-rival-5", "kind": "mistake", "job": "send-reminder", "event": EVENT,
        "what": "The write lock is held only for the writes (two workers at five o'clock had waited for each other): read in one "
                "transaction, judged outside, booked in another that looks at nothing. Whatever is committed in between, the "
                "desk cancels the appointment, another delivery sends or skips the reminder, is written over with 'sending', "
                "and the patient is texted",
        "edits": [
            (
                "clinicsync/ledger.py",
                '''            conn, "SELECT * FROM reminders WHERE appointment_id = ? AND day = ?", appointment_id, day
        )
        if reminder["status"] in ("sent", "skipped", "dead"):
            return f"already {reminder['status']}"
        if why := _pointless(row, day):
            await conn.execute(
                "UPDATE reminders SET status = 'skipped', reason = ?, updated_at = ?"
                " WHERE appointment_id = ? AND day = ?",
                (why, now(), appointment_id, day),
            )
            return why
        if reminder["attempts"] >= MAX_ATTEMPTS:
            raise GaveUp(f"no answer recorded after {reminder['attempts']} attempts")
        first = reminder["first_sent_at"]
        if first and datetime.now(UTC) - datetime.fromisoformat(first) > RESEND_FOR:
            raise GaveUp(f"first sent at {first}, Textbee may have forgotten it")
        await conn.execute(
            "UPDATE reminders SET status = 'sending', attempts = attempts + 1, updated_at = ?,"
            " first_sent_at = coalesce(first_sent_at, ?) WHERE appointment_id = ? AND day = ?",
            (now(), now(), appointment_id, day),
        )
        return Claim(
            to=row["phone"],
            text=f"{row['name']}: see you on {day} at {row['starts_at'][11:]}. Reply NO to cancel.",
            client_ref=f"reminder-{appointment_id}-{day}",
            attempt=reminder["attempts"] + 1,
        )
''',
                '''            conn, "SELECT * FROM reminders WHERE appointment_id = ? AND day = ?", appointment_id, day
        )
    # the lock goes back here: what follows only thinks, or is a write of one row
    if reminder["status"] in ("sent", "skipped", "dead"):
        return f"already {reminder['status']}"
    if why := _pointless(row, day):
        async with transaction() as conn:
            await conn.execute(
                "UPDATE reminders SET status = 'skipped', reason = ?, updated_at = ?"
                " WHERE appointment_id = ? AND day = ?",
                (why, now(), appointment_id, day),
            )
        return why
    if reminder["attempts"] >= MAX_ATTEMPTS:
        raise GaveUp(f"no answer recorded after {reminder['attempts']} attempts")
    first = reminder["first_sent_at"]
    if first and datetime.now(UTC) - datetime.fromisoformat(first) > RESEND_FOR:
        raise GaveUp(f"first sent at {first}, Textbee may have forgotten it")
    async with transaction() as conn:
        await conn.execute(
            "UPDATE reminders SET status = 'sending', attempts = attempts + 1, updated_at = ?,"
            " first_sent_at = coalesce(first_sent_at, ?) WHERE appointment_id = ? AND day = ?",
            (now(), now(), appointment_id, day),
        )
    return Claim(
        to=row["phone"],
        text=f"{row['name']}: see you on {day} at {row['starts_at'][11:]}. Reply NO to cancel.",
        client_ref=f"reminder-{appointment_id}-{day}",
        attempt=reminder["attempts"] + 1,
    )
''',
            ),
            (
                "clinicsync/ledger.py",
                '''"""What the reminder job knows and remembers. Every function is one transaction."""
''',
                '''"""What the reminder job knows and remembers."""
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ ok 1
    {
        "base": "streambox", "id": "ok-rival-1", "kind": "correct", "job": "deliver-webhook", "event": EVENT,
        "what": "The statements say what they want without looking; a trigger of the database lets a delivery move on only "
                "along the ways that there are (pending to anything, failed to delivered) and ignores everything else",
        "edits": [
            (
                "streambox/db.py",
                '''create table if not exists dead_letters (
''',
                '''-- Whoever writes a status may be late: what is settled stays so, without an error.
create trigger if not exists deliveries_move before update of status on deliveries
    when not (old.status = 'pending' or (old.status = 'failed' and new.status = 'delivered'))
    begin select raise(ignore); end;
create table if not exists dead_letters (
''',
            ),
            (
                "streambox/tasks.py",
                '''    """Counts the attempt before anything is sent, so that dying counts as well."""
    async with transaction() as db:
        return await scalar(
            db, "update deliveries set attempts = attempts + 1, touched_at = ?, published_at = coalesce(published_at, ?)"
                " where event_id = ? and status = 'pending' returning attempts",
''',
                '''    """Counts the attempt before anything is sent, so that dying counts as well. Nothing comes back where the
    trigger deliveries_move did not let us (see streambox/db.py)."""
    async with transaction() as db:
        return await scalar(
            db, "update deliveries set status = 'pending', attempts = attempts + 1, touched_at = ?,"
                " published_at = coalesce(published_at, ?) where event_id = ? returning attempts",
''',
            ),
            (
                "streambox/tasks.py",
                '''                " where event_id = ? and status in ('pending', 'failed') returning 1",
''',
                '''                " where event_id = ? returning 1",
''',
            ),
            (
                "streambox/tasks.py",
                '''                " where event_id = ? and status = 'pending' returning 1", time.time(), delivery["event_id"])
''',
                '''                " where event_id = ? returning 1", time.time(), delivery["event_id"])
''',
            ),
            (
                "streambox/videos.py",
                '''                         " where video_id = ? and status = 'pending'", (time.time(), video_id))
''',
                '''                         " where video_id = ?", (time.time(), video_id))
''',
            ),
        ],
    },
    # ------------------------------------------------------------------ ok 2
    {
        "base": "claims", "id": "ok-rival-2", "kind": "correct", "job": "pay-instalment", "event": EVENT,
        "what": "The order to the bank is written down as it goes out, once and before the bank is asked; every attempt "
                "sends that one and the ledger books its amount, whatever a clerk does to claim or payout meanwhile",
        "edits": [
            (
                ".skillrun/jobs/pay-instalment.yaml",
                "  not_state: [outbox]\n",
                "    orders: select claim_no, instalment, fields from payment_orders order by 1, 2\n  not_state: [outbox]\n",
            ),
            (
                "backoffice/adapters/orm.py",
                'dead_letters = Table(\n',
                '''payment_orders = Table(
    "payment_orders", mapper.metadata,
    Column("claim_no", String(16), primary_key=True),
    Column("instalment", Integer, primary_key=True, autoincrement=False),
    Column("fields", JSON, nullable=False),
)
dead_letters = Table(
''',
            ),
            (
                "backoffice/adapters/orm.py",
                "    Column, DateTime, ForeignKey, Integer, String, Table,",
                "    JSON, Column, DateTime, ForeignKey, Integer, String, Table,",
            ),
            (
                "backoffice/adapters/orm.py",
                "mapper.map_imperatively(model.DeadLetter, dead_letters)\n",
                "mapper.map_imperatively(model.DeadLetter, dead_letters)\n"
                "mapper.map_imperatively(model.PaymentOrder, payment_orders)\n",
            ),
            (
                "backoffice/domain/model.py",
                "class LedgerEntry:\n",
                '''class PaymentOrder:
    """What we have the bank do for a payout. It is drawn up once and does not change any more."""

    def __init__(self, claim: Claim, payout: Payout):
        self.claim_no = payout.claim_no
        self.instalment = payout.instalment
        self.fields = {
            "iban": claim.iban,
            "holder": claim.holder,
            "amount_cents": payout.amount_cents,
            "reference": f"Claim {claim.claim_no}, instalment {payout.instalment}",
            "idempotency_key": payout.bank_key,
        }


class LedgerEntry:
''',
            ),
            (
                "backoffice/adapters/repository.py",
                '''    def book_payout(self, payout: model.Payout) -> None:
        self.add(model.LedgerEntry(payout.claim_no, payout.instalment, "claims-paid", payout.amount_cents))
        self.add(model.LedgerEntry(payout.claim_no, payout.instalment, "bank", -payout.amount_cents))
''',
                '''    def book_order(self, order: model.PaymentOrder) -> None:
        cents = order.fields["amount_cents"]
        self.add(model.LedgerEntry(order.claim_no, order.instalment, "claims-paid", cents))
        self.add(model.LedgerEntry(order.claim_no, order.instalment, "bank", -cents))


class PaymentOrders(Repository):
    def drawn_up(self, claim: model.Claim, payout: model.Payout) -> model.PaymentOrder:
        order = self.session.get(model.PaymentOrder, (payout.claim_no, payout.instalment))
        if order is None:
            order = model.PaymentOrder(claim, payout)
            self.add(order)
        return order
''',
            ),
            (
                "backoffice/service/unit_of_work.py",
                "        self.dead_letters = repository.DeadLetters(self.session)\n",
                "        self.dead_letters = repository.DeadLetters(self.session)\n"
                "        self.payment_orders = repository.PaymentOrders(self.session)\n",
            ),
            (
                "backoffice/service/unit_of_work.py",
                "    return sessionmaker(orm.make_engine(Settings.from_env().db_url))\n",
                "    # an order is read on after its unit of work\n"
                "    return sessionmaker(orm.make_engine(Settings.from_env().db_url), expire_on_commit=False)\n",
            ),
            (
                "backoffice/service/payouts.py",
                '''        order = {
            "iban": claim.iban,
            "holder": claim.holder,
            "amount_cents": payout.amount_cents,
            "reference": f"Claim {claim.claim_no}, instalment {payout.instalment}",
            "idempotency_key": payout.bank_key,
        }
''',
                '''        order = uow.payment_orders.drawn_up(claim, payout)
        uow.commit()
''',
            ),
            ("backoffice/service/payouts.py", "bank.transfer(**order)", "bank.transfer(**order.fields)"),
            ("backoffice/service/payouts.py", "uow.ledger.book_payout(payout)", "uow.ledger.book_order(order)"),
        ],
    },
]

VARIANTS += [{'base': 'hosthub',
  'id': 'q-rival-1',
  'kind': 'mistake',
  'job': 'provision-server',
  'event': 'rival',
  'what': 'activate() moves the row as it finds it in its own transaction, not in the version that the attempt has read, so that the '
          'optimistic lock always fits. Sequence: while dns.point is under way somebody else writes the row: another delivery activates it '
          '-> active becomes active again and a second row in subscriptions is written (the customer pays twice); or the sweep has given '
          'the server up -> failed becomes active, with its row still in provisioning_failures. (Two copies at once are enough for the '
          "first.) Base: Changed, 'left to another'.",
  'edits': [('hosthub/servers.py',
             '        await _move(tx, server, Status.ACTIVE)\n',
             '        await _move(tx, await _read(tx, server.id), Status.ACTIVE)\n')]}]
