"""The message comes back after the receiver's window or the visibility timeout, or the first delivery is days late."""

VARIANTS = [
    {
        "base": "boxoffice",
        "id": "p-late-1",
        "kind": "mistake",
        "job": "refund-order",
        "event": "late",
        "what": "first_tried_at is dropped, 'touched_at says it as well'. But touched_at moves with every attempt: the age of "
        "the key is measured from the last attempt, not from the first. Tried at 0 h (answer lost), at 15 h and at 30 h, "
        "the last one goes out under a key that Paynest has forgotten, and the money is given back twice. Breaks the "
        "effect's window of 24 h (a refund first tried longer ago is never sent again).",
        "edits": [
            ("boxoffice/db.py", '    Column("first_tried_at", Float),\n', ""),
            (
                "boxoffice/refunds.py",
                '        if row.status == "pending" and row.first_tried_at and now - row.first_tried_at > policy.KEY_SAFE_FOR:\n',
                '        if row.status == "pending" and row.attempts and now - row.touched_at > policy.KEY_SAFE_FOR:\n',
            ),
            (
                "boxoffice/refunds.py",
                "            .values(attempts=row.attempts + 1, touched_at=now, first_tried_at=row.first_tried_at or now))\n",
                "            .values(attempts=row.attempts + 1, touched_at=now))\n",
            ),
            (
                "boxoffice/refunds.py",
                'raise policy.KeyTooOld("first tried more than 20 hours ago, look at Paynest\'s dashboard")\n',
                'raise policy.KeyTooOld("tried more than 20 hours ago, look at Paynest\'s dashboard")\n',
            ),
        ],
    },
    {
        "base": "clinicsync",
        "id": "p-late-2",
        "kind": "mistake",
        "job": "send-reminder",
        "event": "late",
        "what": "The age of the first text is taken in whole hours by timedelta.seconds, which starts again at 0 after each "
        "day. From 24 h to 47 h after the first attempt the job believes that Textbee still knows the client_ref and "
        "texts the patient a second time. Breaks the effect's window of 24 h.",
        "edits": [
            (
                "clinicsync/ledger.py",
                "# Textbee knows a client_ref for 24h; after that we would text somebody twice.\nRESEND_FOR = timedelta(hours=23)\n",
                "# Textbee knows a client_ref for 24h; after that we would text somebody twice.\nRESEND_HOURS = 23\n",
            ),
            ("clinicsync/ledger.py", "from datetime import UTC, datetime, timedelta\n", "from datetime import UTC, datetime\n"),
            (
                "clinicsync/ledger.py",
                '        first = reminder["first_sent_at"]\n'
                "        if first and datetime.now(UTC) - datetime.fromisoformat(first) > RESEND_FOR:\n"
                '            raise GaveUp(f"first sent at {first}, Textbee may have forgotten it")\n',
                '        if first := reminder["first_sent_at"]:\n'
                "            hours = (datetime.now(UTC) - datetime.fromisoformat(first)).seconds // 3600\n"
                "            if hours >= RESEND_HOURS:\n"
                '                raise GaveUp(f"first sent {hours} hours ago, Textbee may have forgotten it")\n',
            ),
        ],
    },
    {
        "base": "ferryboard",
        "id": "p-late-3",
        "kind": "mistake",
        "job": "issue-refund",
        "event": "late",
        "what": "The time of the first try is noted when QuayPay has not answered, 'the key's clock starts when they have seen "
        "it', and not before the call any more. A worker that dies in the call notes nothing: its message, back after "
        "more than 24 hours, is sent again under a forgotten key and refunds twice. Breaks the effect's window.",
        "edits": [
            (
                "bookings/refunds.py",
                "        provider_ref = self.gateway.refund(\n"
                "            refund.booking.payment_ref, refund.amount_cents, idempotency_key=refund.idempotency_key\n"
                "        )\n"
                "        self._settle(refund, provider_ref)\n",
                "        try:\n"
                "            provider_ref = self.gateway.refund(\n"
                "                refund.booking.payment_ref, refund.amount_cents, idempotency_key=refund.idempotency_key\n"
                "            )\n"
                "        except GatewayUnavailable:\n"
                "            # they may have seen the key: from here on they forget it in 24 hours\n"
                "            Refund.objects.filter(pk=refund.pk, first_tried_at=None).update(first_tried_at=timezone.now())\n"
                "            raise\n"
                "        self._settle(refund, provider_ref)\n",
            ),
            (
                "bookings/refunds.py",
                "            refund.tries += 1\n"
                "            refund.first_tried_at = refund.first_tried_at or now\n"
                '            refund.save(update_fields=["tries", "first_tried_at", "touched_at"])\n',
                "            refund.tries += 1\n"
                '            refund.save(update_fields=["tries", "touched_at"])\n',
            ),
            (
                "bookings/refunds.py",
                "from bookings.gateway import PaymentGateway\n",
                "from bookings.gateway import GatewayUnavailable, PaymentGateway\n",
            ),
        ],
    },
    {
        "base": "gymnote",
        "id": "p-late-4",
        "kind": "mistake",
        "job": "dun-member",
        "event": "late",
        "what": "What the sweep queues again gets a fresh first_start, 'or a weekend without a worker ends in hundreds of dead "
        "jobs'. An invoice whose charge went out on Friday without an answer is charged again on Monday, under a key "
        "that PlasticPay has forgotten. Breaks the window of 24 h of the effect charge.",
        "edits": [
            (
                "gymnote/outbox.py",
                '        session.execute(update(Dunning).where(Dunning.invoice_id.in_(stuck)).values(state="pending"))\n',
                "        # it starts anew, or a weekend without a worker ends in hundreds of dead jobs\n"
                "        session.execute(\n"
                '            update(Dunning).where(Dunning.invoice_id.in_(stuck)).values(state="pending", first_start=None)\n'
                "        )\n",
            ),
        ],
    },
    {
        "base": "parcelbank",
        "id": "p-late-5",
        "kind": "mistake",
        "job": "send-payout",
        "event": "late",
        "what": "An order that did not leave the house (no connection) takes first_sent_at back, as the bank has not seen the "
        "key. It does so also where an earlier attempt had been sent and lost its answer: ReadTimeout, then ConnectError, "
        "then a message that comes back after 24 hours, and the payout is paid twice. Breaks the effect's window.",
        "edits": [
            (
                "parcelbank/jobs/payouts.py",
                "            bank_ref = bank.client().create_transfer(\n"
                "                reference=payout.ref,\n"
                "                iban=payout.iban,\n"
                "                amount_minor=payout.amount_minor,\n"
                "                currency=payout.currency,\n"
                "                idempotency_key=payout.idempotency_key,\n"
                "            )\n",
                "            try:\n"
                "                bank_ref = bank.client().create_transfer(\n"
                "                    reference=payout.ref,\n"
                "                    iban=payout.iban,\n"
                "                    amount_minor=payout.amount_minor,\n"
                "                    currency=payout.currency,\n"
                "                    idempotency_key=payout.idempotency_key,\n"
                "                )\n"
                "            except httpx.ConnectError:\n"
                "                self.not_sent(payout_ref)\n"
                "                raise\n",
            ),
            (
                "parcelbank/jobs/payouts.py",
                "    def settle(self, ref: str, bank_ref: str) -> None:\n",
                "    def not_sent(self, ref: str) -> None:\n"
                '        """The bank has not seen the key, so it cannot forget it: no payout is parked for a night without a line."""\n'
                "        with UnitOfWork() as uow:\n"
                "            uow.payouts.get(ref).first_sent_at = None\n"
                "            uow.commit()\n"
                "\n"
                "    def settle(self, ref: str, bank_ref: str) -> None:\n",
            ),
        ],
    },
    {
        "base": "streambox",
        "id": "ok-late-1",
        "kind": "correct",
        "job": "deliver-webhook",
        "event": "late",
        "what": "Right: the handler itself gives a webhook up that is older than a day, with a dead letter, however its message "
        "comes (the base leaves that to the sweep); customers remember an event for seven days.",
        "edits": [
            (
                "streambox/settings.py",
                "    max_attempts: int = 5\n",
                "    useful_for: int = 24 * 3600  # customers know an event id for seven days\n\n    max_attempts: int = 5\n",
            ),
            (
                "streambox/tasks.py",
                '        log.info("webhook skipped, it is {}", delivery["status"])\n'
                '        return delivery["status"]\n',
                '        log.info("webhook skipped, it is {}", delivery["status"])\n'
                '        return delivery["status"]\n'
                '    if time.time() - delivery["created_at"] > settings.useful_for:\n'
                '        await give_up(delivery, message, "not delivered within a day", log)\n'
                '        return "failed"\n',
            ),
            ("streambox/sweeps.py", "TOO_OLD = 24 * 3600\n", ""),
            (
                "streambox/sweeps.py",
                '        elif d["created_at"] < now - TOO_OLD:\n',
                '        elif d["created_at"] < now - settings.useful_for:\n',
            ),
        ],
    },
    {
        "base": "ticketbay",
        "id": "ok-late-2",
        "kind": "correct",
        "job": "settle-order",
        "event": "late",
        "what": "Right: each order has a deadline in its row, 20 hours from the moment it was placed or its refund fell due. "
        "After it no message of whatever age touches the gateway; the order goes to attention with a letter. The "
        "deadline is not moved by asking again.",
        "edits": [
            (
                "ticketbay/models.py",
                "from datetime import datetime, timezone\n",
                "from datetime import datetime, timedelta, timezone\n",
            ),
            (
                "ticketbay/models.py",
                "UNSETTLED = (PLACED, CHARGING, REFUND_DUE)\n",
                "UNSETTLED = (PLACED, CHARGING, REFUND_DUE)\n\n"
                "# The gateway remembers a key for 24 hours.\n"
                "SETTLE_WITHIN = timedelta(hours=20)\n",
            ),
            (
                "ticketbay/models.py",
                "class Base(DeclarativeBase):\n",
                "def deadline() -> datetime:\n    return utcnow() + SETTLE_WITHIN\n\n\nclass Base(DeclarativeBase):\n",
            ),
            (
                "ticketbay/models.py",
                "    touched_at: Mapped[datetime] = mapped_column(DateTime, default=utcnow)\n",
                "    touched_at: Mapped[datetime] = mapped_column(DateTime, default=utcnow)\n"
                "    # after that nobody goes to the gateway for it by himself\n"
                "    settle_by: Mapped[datetime] = mapped_column(DateTime, default=deadline)\n",
            ),
            ("ticketbay/orders.py", "from sqlalchemy import select, update\n", "from sqlalchemy import case, select, update\n"),
            (
                "ticketbay/orders.py",
                "from .models import CANCELLED, PAID, PLACED, REFUND_DUE, RESERVED, UNSETTLED, Order, utcnow\n",
                "from .models import CANCELLED, PAID, PLACED, REFUND_DUE, RESERVED, UNSETTLED, Order, deadline, utcnow\n",
            ),
            (
                "ticketbay/orders.py",
                "                .values(status=new, published_at=None, touched_at=utcnow())\n",
                "                .values(\n"
                "                    status=new, published_at=None, touched_at=utcnow(),\n"
                "                    # asking a second time moves nothing\n"
                "                    settle_by=case((Order.status == new, Order.settle_by), else_=deadline()),\n"
                "                )\n",
            ),
            (
                "ticketbay/tasks.py",
                "class SettlementTask(Task):\n",
                "class TooLate(Exception):\n"
                '    """The gateway may have forgotten what we asked it the first time."""\n'
                "\n\n"
                "class SettlementTask(Task):\n",
            ),
            (
                "ticketbay/tasks.py",
                "        if order.unreturned > MAX_UNRETURNED:\n",
                "        if order.settle_by < utcnow():\n"
                '            raise TooLate(f"order {order_id} was to be settled by {order.settle_by:%Y-%m-%d %H:%M} UTC")\n'
                "        if order.unreturned > MAX_UNRETURNED:\n",
            ),
            (
                ".skillrun/jobs/settle-order.yaml",
                '    - {type: "ticketbay.tasks:WorkerKiller", effects: []}\n',
                '    - {type: "ticketbay.tasks:WorkerKiller", effects: []}\n'
                '    - {type: "ticketbay.tasks:TooLate", effects: []}\n',
            ),
        ],
    },
]

VARIANTS += [{'base': 'clinicsync',
  'id': 'q-late-1',
  'kind': 'mistake',
  'job': 'send-reminder',
  'event': 'late',
  'what': 'The age of the first attempt is taken with timedelta.seconds, which has no days in it. Sequence: attempt 1, Textbee has the '
          'text, its answer is lost (or the worker dies); the message comes again 26 hours later (Redis or the box was down over the day, '
          'the appointment is still ahead): age is 2 h, not 26 h, so it is sent once more although Textbee forgot the client_ref after 24 '
          'h: the patient is texted twice. The check only works in the last hour of each day. Base: GaveUp after 23 h.',
  'edits': [('clinicsync/ledger.py',
             '        if first and datetime.now(UTC) - datetime.fromisoformat(first) > RESEND_FOR:\n'
             '            raise GaveUp(f"first sent at {first}, Textbee may have forgotten it")\n',
             '        age = (datetime.now(UTC) - datetime.fromisoformat(first)).seconds if first else 0\n'
             '        if age > RESEND_FOR.seconds:\n'
             '            raise GaveUp(f"first sent {age // 3600} hours ago, Textbee may have forgotten it")\n')]}]
