"""Copies of one message wait while the worker is away and come at once; or a second copy comes at the same moment."""

VARIANTS = [
    {
        "base": "seedlibrary",
        "id": "p-copies-1",
        "kind": "mistake",
        "job": "mail-invoice",
        "event": "copies",
        "what": "The claim sets the attributes and saves them, in place of the update that compares the version ('the lease was "
        "looked at three lines above'). Two copies at the same moment both find the invoice free, both take it and both "
        "mail it. Breaks the effect's reason (a lease keeps two workers from doing so).",
        "edits": [
            (
                "billing/invoicing.py",
                '    """Takes the invoice for one attempt. None: it is settled. The version lets one of two rivals through."""\n',
                '    """Takes the invoice for one attempt, with a lease that keeps others off it. None: it is settled."""\n',
            ),
            (
                "billing/invoicing.py",
                "    taken = Invoice.objects.filter(pk=invoice.pk, version=invoice.version).update(\n"
                "        status=Invoice.SENDING,\n"
                '        attempts=F("attempts") + 1,\n'
                '        version=F("version") + 1,\n'
                "        leased_until=now + LEASE,\n"
                "        touched_at=now,\n"
                "    )\n"
                "    if not taken:\n"
                "        raise Busy()\n"
                "    invoice.refresh_from_db()\n"
                "    return invoice\n",
                "    invoice.status = Invoice.SENDING\n"
                "    invoice.attempts += 1\n"
                "    invoice.version += 1\n"
                "    invoice.leased_until = now + LEASE\n"
                "    invoice.touched_at = now\n"
                '    invoice.save(update_fields=["status", "attempts", "version", "leased_until", "touched_at"])\n'
                "    return invoice\n",
            ),
        ],
    },
    {
        "base": "hosthub",
        "id": "p-copies-2",
        "kind": "mistake",
        "job": "provision-server",
        "event": "copies",
        "what": "activate() does not compare the version any more, because an edit by support bumped it and left a finished "
        "server 'to another'. Two copies that both stand at the DNS step (status created) both activate it: the customer "
        "gets two subscriptions. Breaks the state subscriptions.",
        "edits": [
            (
                "hosthub/servers.py",
                "    async with db.transaction() as tx:\n"
                "        await _move(tx, server, Status.ACTIVE)\n",
                "    async with db.transaction() as tx:\n"
                "        # without comparing the version: support edits rows, and the machine is up all the same\n"
                '        await tx.execute("update servers set status = ?, version = version + 1, touched_at = ? where id = ?",\n'
                "                         (Status.ACTIVE.value, time.time(), server.id))\n",
            ),
        ],
    },
    {
        "base": "async-tickets",
        "id": "p-copies-3",
        "kind": "mistake",
        "job": "refund-order",
        "event": "copies",
        "what": "The step is merged instead of added, which does away with the IntegrityError in the log. It was the guard: of "
        "two copies that both found no step and both got the provider's answer, the second one overwrites the row and "
        "credits the goodwill again. Breaks the state credit (done once).",
        "edits": [
            (
                "tickets/tasks.py",
                "    try:\n"
                "        with Session.begin() as session:\n"
                '            session.add(Step(order_id=order.id, name="refund", result=refund))\n'
                "            session.flush()\n"
                "            session.execute(\n"
                '                update(Order).where(Order.id == order.id).values(status="refunded", refund_id=refund["id"])\n'
                "            )\n"
                "            goodwill = order.amount_cents * GOODWILL_PERCENT // 100\n"
                "            session.execute(\n"
                "                update(Customer)\n"
                "                .where(Customer.id == order.customer_id)\n"
                "                .values(credit_cents=Customer.credit_cents + goodwill)\n"
                "            )\n"
                "    except IntegrityError:\n"
                '        logger.info("settled_by_another_delivery")\n',
                "    with Session.begin() as session:\n"
                '        session.merge(Step(order_id=order.id, name="refund", result=refund))\n'
                "        session.execute(\n"
                '            update(Order).where(Order.id == order.id).values(status="refunded", refund_id=refund["id"])\n'
                "        )\n"
                "        goodwill = order.amount_cents * GOODWILL_PERCENT // 100\n"
                "        session.execute(\n"
                "            update(Customer)\n"
                "            .where(Customer.id == order.customer_id)\n"
                "            .values(credit_cents=Customer.credit_cents + goodwill)\n"
                "        )\n",
            ),
        ],
    },
    {
        "base": "startup-hooks",
        "id": "p-copies-4",
        "kind": "mistake",
        "job": "deliver",
        "event": "copies",
        "what": "The last update takes the delivery in whatever status it is, so that a success counts that comes after another "
        "message had buried it. With that every copy wins: two that were under way at once bill the partner twice. "
        "Breaks the state billed.",
        "edits": [
            (
                "hooks/jobs.py",
                "    with tx() as db:\n"
                "        won = db.execute(\n"
                "            \"update deliveries set status = 'sent', receipt = ? where event_id = ? and partner = ? and status = 'pending'\",\n",
                "    with tx() as db:\n"
                "        # also where another message has buried it meanwhile: the partner has it now\n"
                "        won = db.execute(\n"
                "            \"update deliveries set status = 'sent', receipt = ? where event_id = ? and partner = ?\",\n",
            ),
        ],
    },
    {
        "base": "django-shop",
        "id": "p-copies-5",
        "kind": "mistake",
        "job": "ship-order",
        "event": "copies",
        "what": "The order is read before the transaction, which is only opened where there is something to write ('copies of "
        "shipped orders took the write lock for nothing'). Two copies at the same moment both read 'paid' and both take "
        "the stock. Breaks the state stock.",
        "edits": [
            (
                "shop/tasks.py",
                "        with transaction.atomic():\n"
                "            order = self.locked(order_id)\n"
                "            if order.status in (Status.SHIPPED, Status.ON_HOLD):\n"
                '                logger.info("order %s is %s, nothing to do", order_id, order.status)\n'
                "                return None\n"
                "            if order.status == Status.PAID:\n"
                "                for line in order.lines.all():\n"
                '                    Product.objects.filter(pk=line.product_id).update(stock=F("stock") - line.quantity)\n'
                "                order.status = Status.ALLOCATED\n"
                '                order.save(update_fields=["status"])\n'
                "            elif order.status != Status.ALLOCATED:\n"
                '                raise NotShippable(f"order {order_id} is {order.status}")\n'
                "            return order\n",
                "        order = Order.objects.filter(pk=order_id).first()\n"
                "        if order is None:\n"
                '            raise OrderNotFound(f"order {order_id}")\n'
                "        if order.status in (Status.SHIPPED, Status.ON_HOLD):\n"
                '            logger.info("order %s is %s, nothing to do", order_id, order.status)\n'
                "            return None\n"
                "        if order.status == Status.PAID:\n"
                "            with transaction.atomic():\n"
                "                for line in order.lines.all():\n"
                '                    Product.objects.filter(pk=line.product_id).update(stock=F("stock") - line.quantity)\n'
                "                order.status = Status.ALLOCATED\n"
                '                order.save(update_fields=["status"])\n'
                "        elif order.status != Status.ALLOCATED:\n"
                '            raise NotShippable(f"order {order_id} is {order.status}")\n'
                "        return order\n",
            ),
        ],
    },
    {
        "base": "startup-hooks",
        "id": "ok-copies-1",
        "kind": "correct",
        "job": "deliver",
        "event": "copies",
        "what": "Right: the bill is counted, not counted up. Whoever has delivered writes the status and sets the partner's "
        "billed calls to the number of deliveries that are sent; copies write the same number again.",
        "edits": [
            (
                "hooks/jobs.py",
                "        won = db.execute(\n"
                "            \"update deliveries set status = 'sent', receipt = ? where event_id = ? and partner = ? and status = 'pending'\",\n"
                "            (receipt, event_id, partner),\n"
                "        ).rowcount\n"
                "        if won:\n"
                '            db.execute("update partners set billed_calls = billed_calls + 1 where name = ?", (partner,))\n',
                "        # also where it had been buried: the partner has it now\n"
                "        db.execute(\n"
                "            \"update deliveries set status = 'sent', receipt = ? where event_id = ? and partner = ? and status <> 'sent'\",\n"
                "            (receipt, event_id, partner),\n"
                "        )\n"
                "        db.execute(\n"
                "            \"delete from dead_jobs where job = 'deliver' and payload = ?\",\n"
                '            (json.dumps({"event_id": event_id, "partner": partner}, sort_keys=True),),\n'
                "        )\n"
                "        # deliveries are kept for good, so the bill is how many there are\n"
                "        db.execute(\n"
                '            "update partners set billed_calls ="\n'
                "            \" (select count(*) from deliveries where partner = partners.name and status = 'sent') where name = ?\",\n"
                "            (partner,),\n"
                "        )\n",
            ),
        ],
    },
    {
        "base": "mailcourier",
        "id": "ok-copies-2",
        "kind": "correct",
        "job": "deliver-copy",
        "event": "copies",
        "what": "Right: who has a delivery in hand is who holds a flock on a file of its name; the kernel lets go of it with the "
        "worker, however that ends. A copy at the same moment goes away, one after a crash need not wait for a lease. "
        "(One machine, as the queue is a file, too.)",
        "edits": [
            (
                "mailcourier/deliveries.py",
                "import json\nimport time\n\nfrom . import config\n",
                "import fcntl\nimport json\nimport os\nimport time\nfrom contextlib import contextmanager\n\nfrom . import config\n",
            ),
            (
                "mailcourier/deliveries.py",
                "def claim(issue_id, subscriber_id):\n"
                '    """Take the delivery for LEASE seconds. None: nothing to do, or somebody else is at it."""\n',
                "@contextmanager\n"
                "def in_hand(issue_id, subscriber_id):\n"
                '    """True for whoever is alone with the delivery. The file stays; the lock goes with its holder."""\n'
                '    folder = f"{config.DATABASE}.locks"\n'
                "    os.makedirs(folder, exist_ok=True)\n"
                '    with open(os.path.join(folder, f"{issue_id}-{subscriber_id}"), "a") as file:\n'
                "        try:\n"
                "            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
                "        except BlockingIOError:\n"
                "            yield False\n"
                "        else:\n"
                "            yield True\n"
                "\n\n"
                "def claim(issue_id, subscriber_id):\n"
                '    """Begin an attempt at a delivery that is in hand. None: there is nothing to do."""\n',
            ),
            (
                "mailcourier/deliveries.py",
                "            \"and (status in ('pending', 'queued') or (status = 'sending' and due_at <= ?))\",\n"
                "            (now + LEASE, issue_id, subscriber_id, now),\n",
                '            f"and status in {OPEN}",\n'
                "            (now + LEASE, issue_id, subscriber_id),\n",
            ),
            (
                "mailcourier/deliveries.py",
                "LEASE = 120      # longer than the slowest conversation with the relay\n",
                "LEASE = 120      # longer than the slowest conversation with the relay; then the sweep has a look\n",
            ),
            (
                "mailcourier/tasks.py",
                '    key = message["issue_id"], message["subscriber_id"]\n    try:\n        row = deliveries.claim(*key)\n',
                '    key = message["issue_id"], message["subscriber_id"]\n'
                "    with deliveries.in_hand(*key) as ours:\n"
                "        if ours:\n"
                "            attempt(key, message, task, about)\n"
                "        else:\n"
                '            log.info("delivery is in other hands", extra=about)\n'
                "\n\n"
                "def attempt(key, message, task, about):\n"
                "    try:\n        row = deliveries.claim(*key)\n",
            ),
            (
                "mailcourier/tasks.py",
                '        log.info("delivery is done or in other hands", extra=about)\n',
                '        log.info("delivery is done", extra=about)\n',
            ),
            (
                ".skillrun/jobs/deliver-copy.yaml",
                '  scratch_files: ["queue.db*"]\n',
                '  scratch_files: ["queue.db*", "mailcourier.db.locks/*"]\n',
            ),
            (
                "tests/test_delivery.py",
                "        deliver_copy(issue_id=1, subscriber_id=1)\n"
                "        work()\n"
                '        self.assertEqual(self.letters, [], "the lease still runs")\n'
                "        with mock.patch(\"time.time\", return_value=deliveries.time.time() + 15 * 60):\n",
                "        with deliveries.in_hand(1, 1):\n"
                "            deliver_copy.call_local(issue_id=1, subscriber_id=1)\n"
                '        self.assertEqual(self.letters, [], "somebody has it in hand")\n'
                "        with mock.patch(\"time.time\", return_value=deliveries.time.time() + 15 * 60):\n",
            ),
        ],
    },
]

VARIANTS += [{'base': 'stadtbib',
  'id': 'q-copies-1',
  'kind': 'mistake',
  'job': 'overdue-notice',
  'event': 'copies',
  'what': "When notice 3 of a loan is sent, the rows of its lower notices that are through are deleted (a reader's file keeps the last "
          'notice only). Sequence: {1,2} sent, two weeks later {1,3} sent -> row (1,2) is gone. A copy of {loan 1, level 2} that has '
          'waited in Redis comes: begin() inserts (1,2) anew as pending, the loan is still out, so the second reminder is mailed again '
          "after the third; and where the copy is older than the cash desk's 30 days a second fee of 2 EUR is booked (within them the same "
          "receipt comes back). Breaks keyed [loan_id, level]. The letter's at_least_once accepts a second copy after a crash only. Base: "
          "(1,2) is 'sent', nothing to do.",
  'edits': [('stadtbib/notices.py', 'from sqlalchemy import update\n', 'from sqlalchemy import delete, update\n'),
            ('stadtbib/notices.py',
             '        s.execute(_pending(loan_id, level).values(status=status))\n',
             '        s.execute(_pending(loan_id, level).values(status=status))\n'
             "        # a reader's file holds the last notice of a loan, not the history\n"
             '        s.execute(\n'
             '            delete(Notice).where(\n'
             '                Notice.loan_id == loan_id, Notice.level < level, Notice.status.in_(("sent", "void"))\n'
             '            )\n'
             '        )\n')]}]
