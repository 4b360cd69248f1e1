"""The job's own retry cannot be published, or the process dies just after it was."""

VARIANTS = [
    {
        "base": "petvault",
        "id": "p-retry-lost-1",
        "kind": "mistake",
        "job": "send-invoice",
        "event": "retry-lost",
        "what": "An invoice that waits for its next attempt gets a status of its own, 'waiting', for the front desk's "
        "list. The claim knows it, the sweep requeue_open still looks for 'open' only: where the retry is not "
        "taken by the broker (Celery rejects the message then), the invoice waits for ever, without a record. "
        "Breaks recovers (requeue_open brings back what stood still).",
        "edits": [
            (
                "petvault/tables.py",
                "    CheckConstraint(\"status in ('open', 'mailed', 'failed')\"),\n",
                "    # waiting: an attempt has failed, the next one is on its way\n"
                "    CheckConstraint(\"status in ('open', 'waiting', 'mailed', 'failed')\"),\n",
            ),
            (
                "petvault/claims.py",
                '                deliveries.c.status == "open",\n',
                "                deliveries.c.status.in_(UNDONE),\n",
            ),
            (
                "petvault/claims.py",
                "            .values(holder=holder, leased_until=now + LEASE, attempts=deliveries.c.attempts + 1)\n",
                "            .values(\n"
                '                status="open", holder=holder, leased_until=now + LEASE,\n'
                "                attempts=deliveries.c.attempts + 1,\n"
                "            )\n",
            ),
            ("petvault/claims.py", '    if row.status != "open":\n', "    if row.status not in UNDONE:\n"),
            ("petvault/claims.py", "LEASE = 180\n", 'LEASE = 180\nUNDONE = ("open", "waiting")\n'),
            (
                "petvault/claims.py",
                "        _ours(tx, claim, holder=None, leased_until=0, queued_for=int(time.time()) + wait)\n",
                "        queued_for = int(time.time()) + wait\n"
                '        _ours(tx, claim, status="waiting", holder=None, leased_until=0, queued_for=queued_for)\n',
            ),
        ],
    },
    {
        "base": "gridops",
        "id": "p-retry-lost-2",
        "kind": "mistake",
        "job": "submit-schedule",
        "event": "retry-lost",
        "what": "The outbox keeps what was published (support wants to see when), and is unique, so that a second click on "
        "approve publishes nothing. The sweep of stalled schedules goes through the same add(): the row of the first "
        "publication is there, nothing is added. Where Dramatiq could not enqueue a retry (it logs that and acks), the "
        "schedule is warned about every ten minutes and never published again. Breaks recovers (requeue_stalled).",
        "edits": [
            ("gridops/tables.py", "    Text,\n    create_engine,\n", "    Text,\n    UniqueConstraint,\n    create_engine,\n"),
            (
                "gridops/tables.py",
                '    Column("id", Integer, primary_key=True),\n'
                '    Column("actor", String(60), nullable=False),\n'
                '    Column("kwargs", Text, nullable=False),\n'
                ")\n",
                '    Column("id", Integer, primary_key=True),\n'
                '    Column("actor", String(60), nullable=False),\n'
                '    Column("kwargs", Text, nullable=False),\n'
                '    Column("sent_at", Float),\n'
                '    UniqueConstraint("actor", "kwargs"),\n'
                ")\n",
            ),
            (
                "gridops/outbox.py",
                '"""Messages are written in the transaction that makes them necessary and published after it."""\n\nimport json\n',
                '"""Messages are written in the transaction that makes them necessary and published after it.\n'
                "They stay, with the time at which they were; each is in here once.\n"
                '"""\n\nimport json\nimport time\n',
            ),
            (
                "gridops/outbox.py",
                "from sqlalchemy import delete, insert, select\n",
                "from sqlalchemy import select, update\nfrom sqlalchemy.dialects.sqlite import insert\n",
            ),
            (
                "gridops/outbox.py",
                "    con.execute(insert(outbox).values(actor=actor, kwargs=json.dumps(kwargs)))\n",
                "    con.execute(insert(outbox).values(actor=actor, kwargs=json.dumps(kwargs)).on_conflict_do_nothing())\n",
            ),
            (
                "gridops/outbox.py",
                '    """A message is removed after it was published: a crash in between publishes it twice."""\n'
                "    with engine.connect() as con:\n"
                "        waiting = con.execute(select(outbox).order_by(outbox.c.id)).all()\n",
                '    """A message is ticked off after it was published: a crash in between publishes it twice."""\n'
                "    with engine.connect() as con:\n"
                "        waiting = con.execute(select(outbox).where(outbox.c.sent_at.is_(None)).order_by(outbox.c.id)).all()\n",
            ),
            (
                "gridops/outbox.py",
                "            con.execute(delete(outbox).where(outbox.c.id == row.id))\n",
                "            con.execute(update(outbox).where(outbox.c.id == row.id).values(sent_at=time.time()))\n",
            ),
            (
                ".skillrun/jobs/submit-schedule.yaml",
                "    outbox: select actor, kwargs from outbox order by id\n",
                "    outbox: select actor, kwargs from outbox where sent_at is null order by id\n",
            ),
            (
                "tests/test_submission.py",
                "def test_approved_is_archived_and_submitted(operator, store, work):\n",
                "def unsent():\n"
                "    with engine.connect() as con:\n"
                "        return con.execute(select(func.count()).where(outbox_table.c.sent_at.is_(None))).scalar()\n"
                "\n\n"
                "def test_approved_is_archived_and_submitted(operator, store, work):\n",
            ),
            (
                "tests/test_submission.py",
                '    assert row() == ("accepted", "r-1") and count(outbox_table) == 0\n',
                '    assert row() == ("accepted", "r-1") and unsent() == 0 and count(outbox_table) == 1\n',
            ),
            (
                "tests/test_submission.py",
                '    assert row().status == "accepted" and count(outbox_table) == 0\n',
                '    assert row().status == "accepted" and unsent() == 0\n',
            ),
        ],
    },
    {
        "base": "clinic-reminders",
        "id": "p-retry-lost-3",
        "kind": "mistake",
        "job": "send-reminder",
        "event": "retry-lost",
        "what": "While a reminder waits for its retry the claim stays with its task, without an end (claimed_until null), as the "
        "retry comes under the same task id. If the retry never comes, nobody else gets the claim: claimed_until < now "
        "is not true for a null. The sweep queues the reminder every ten minutes and each of those tasks ends as Busy; "
        "it is never sent and never recorded. Breaks the relay (sweep:requeue) and dead_letter.",
        "edits": [
            (
                "reminders/claims.py",
                "def finish(reminder):\n",
                "def keep(reminder, token):\n"
                '    """Ours until the retry, whenever that comes: it has the same task id."""\n'
                "    Reminder.objects.filter(pk=reminder.pk, claim_token=token).update(claimed_until=None)\n"
                "\n\n"
                "def finish(reminder):\n",
            ),
            (
                "reminders/claims.py",
                "def release(reminder, token):\n"
                '    Reminder.objects.filter(pk=reminder.pk, claim_token=token).update(claim_token="", claimed_until=None)\n'
                "\n\n",
                "",
            ),
            (
                "reminders/delivery.py",
                "    except Exception:\n        claims.release(reminder, token)\n        raise\n",
                "    except Exception:\n        claims.keep(reminder, token)  # or a copy would try it before its time\n        raise\n",
            ),
        ],
    },
    {
        "base": "ticketbay",
        "id": "p-retry-lost-4",
        "kind": "mistake",
        "job": "settle-order",
        "event": "retry-lost",
        "what": "The sweep passes over orders with unreturned > 0, 'a worker has them, and late acks bring them back'. The "
        "counter goes back in on_retry, which Celery calls only after the retry was published: where the broker "
        "refuses it, the message is rejected, the counter stays at 1 and the order stays charging for ever, without "
        "a record. Breaks recovers.",
        "edits": [
            (
                "ticketbay/orders.py",
                "            select(Order.id).where(Order.status.in_(UNSETTLED), Order.touched_at < utcnow() - STUCK_AFTER)\n",
                "            select(Order.id).where(\n"
                "                Order.status.in_(UNSETTLED),\n"
                "                # with a worker: if that dies, the broker hands the message out again\n"
                "                Order.unreturned == 0,\n"
                "                Order.touched_at < utcnow() - STUCK_AFTER,\n"
                "            )\n",
            ),
        ],
    },
    {
        "base": "seedlibrary",
        "id": "p-retry-lost-5",
        "kind": "mistake",
        "job": "mail-invoice",
        "event": "retry-lost",
        "what": "The sweep is tidied up: open ones, and those in hand whose lease has run out. An invoice that waits for its "
        "retry is 'sending' without a lease and is in neither group, so a retry that the broker has not taken is "
        "never made up for. Breaks recovers.",
        "edits": [
            (
                "billing/invoicing.py",
                "        Q(leased_until=None) | Q(leased_until__lt=now),\n        status__in=UNFINISHED,\n",
                "        # queued and never taken, or taken by somebody who did not come back\n"
                "        Q(status=Invoice.OPEN) | Q(status=Invoice.SENDING, leased_until__lt=now),\n",
            ),
        ],
    },
    {
        "base": "farmledger",
        "id": "ok-retry-lost-1",
        "kind": "correct",
        "job": "pay-out",
        "event": "retry-lost",
        "what": "Right: where the broker does not take a retry, the message in hand is rejected with requeue instead of "
        "dropped, so it comes again; attempts are counted in the row and end as ever.",
        "edits": [
            ("payouts/house.py", "import hashlib\nimport json\n", "import hashlib\nimport json\nimport time\n"),
            ("payouts/house.py", "from celery import Task\n", "from celery import Task\nfrom celery.exceptions import Reject\n"),
            (
                "payouts/house.py",
                "    def before_start(self, task_id, args, kwargs):\n",
                "    def retry(self, *args, **kwargs):\n"
                '        """Celery drops the message if it cannot publish the next one. We keep the one that we have."""\n'
                "        try:\n"
                "            return super().retry(*args, **kwargs)\n"
                "        except Reject as refused:\n"
                "            time.sleep(min(kwargs.get(\"countdown\") or 0, 10))  # or it would be back at once\n"
                '            logger.error("%s: the retry could not be published, the message goes back: %r", self.name, refused.reason)\n'
                "            raise Reject(refused.reason, requeue=True) from refused\n"
                "\n"
                "    def before_start(self, task_id, args, kwargs):\n",
            ),
        ],
    },
    {
        "base": "mailcourier",
        "id": "ok-retry-lost-2",
        "kind": "correct",
        "job": "deliver-copy",
        "event": "retry-lost",
        "what": "Right: the job publishes no retry at all. A failed attempt leaves its row queued and due in five minutes, and "
        "the sweep that runs every quarter of an hour anyway is what tries it again.",
        "edits": [
            (
                "mailcourier/tasks.py",
                "@huey.task(retries=deliveries.MAX_ATTEMPTS - 1, retry_delay=60, retry_backoff=2, context=True)\n",
                "# no retries of Huey's: the row says when it is due again, and take_up_lost brings it\n"
                "@huey.task(context=True)\n",
            ),
            (
                "mailcourier/tasks.py",
                '        log.warning("delivery failed, will be retried: %r", error, extra=about)\n        raise\n',
                '        log.warning("delivery failed, its row is swept up: %r", error, extra=about)\n        raise\n',
            ),
            ("mailcourier/tasks.py", "        mail(key, row, task, about)\n", "        mail(key, row, about)\n"),
            ("mailcourier/tasks.py", "def mail(key, row, task, about):\n", "def mail(key, row, about):\n"),
            (
                "mailcourier/tasks.py",
                "        wait = task.retry_delay if task else 60\n"
                '        log.warning("delivery failed, will be retried: %r", error, extra={**about, "wait": wait})\n'
                '        deliveries.put_back(*key, row["attempts"], wait)\n'
                "        raise\n",
                '        deliveries.put_back(*key, row["attempts"])\n'
                '        log.warning("delivery failed, the sweep tries it again: %r", error, extra=about)\n'
                "        return\n",
            ),
            (
                "mailcourier/deliveries.py",
                "def put_back(issue_id, subscriber_id, attempt, wait):\n"
                '    """The attempt failed and the queue will bring it again after so many seconds."""\n',
                "def put_back(issue_id, subscriber_id, attempt):\n"
                '    """The attempt failed; lost() finds it in the next quarter of an hour."""\n',
            ),
            (
                "mailcourier/deliveries.py",
                "            (int(time.time()) + wait + 240, issue_id, subscriber_id, attempt),\n",
                "            (int(time.time()) + 300, issue_id, subscriber_id, attempt),\n",
            ),
            (
                ".skillrun/jobs/deliver-copy.yaml",
                "  backoff: {kind: exponential, base: 60s, factor: 2}\n",
                "  backoff: {kind: fixed, base: 15m}\n",
            ),
            (
                "tests/test_delivery.py",
                "        task = huey.dequeue()\n"
                "        if task is None:\n"
                "            scheduled = huey.scheduled()\n"
                "            if not scheduled:\n"
                "                return\n"
                "            huey.storage.flush_schedule()\n"
                "            for task in scheduled:\n"
                "                task.eta = None\n"
                "                huey.enqueue(task)\n"
                "        else:\n"
                "            huey.execute(task)\n",
                "        task = huey.dequeue()\n"
                "        if task is not None:\n"
                "            huey.execute(task)\n"
                "            continue\n"
                "        with db.transaction() as con:\n"
                "            waiting = con.execute(\n"
                "                \"update deliveries set due_at = 0 where status = 'queued' and attempts > 0\"\n"
                "            ).rowcount\n"
                "        if not waiting:\n"
                "            return\n"
                "        dispatch.rescue_lost()\n",
            ),
        ],
    },
]

VARIANTS += [{'base': 'adbox',
  'id': 'q-retry-lost-1',
  'kind': 'mistake',
  'job': 'confirm-ad',
  'event': 'retry-lost',
  'what': "A confirmation between two attempts has a state of its own, 'waiting' (the desk's page shows it); begin() takes it up, but "
          "rescue_stuck still looks for 'open' only. Sequence: the mail server says 451; failed() writes 'waiting'; Huey cannot write the "
          'retry (queue.db locked, disk full): the message is gone. The row waits for ever, a second click at the desk does not queue it '
          "either: no mail, no push, nothing in the graveyard. Base: the row is 'open' with due_at, the rescue brings it back.",
  'edits': [('adbox/db.py', '-- open, done, dead\n', '-- open, waiting (for its next attempt), done, dead\n'),
            ('adbox/confirmations.py',
             '        if row["state"] != "open":\n            return None\n',
             '        if row["state"] not in ("open", "waiting"):\n            return None\n'),
            ('adbox/confirmations.py',
             '            "update confirmations set crashes = crashes + 1, due_at = ? where ref = ?",\n',
             '            "update confirmations set state = \'open\', crashes = crashes + 1, due_at = ? where ref = ?",\n'),
            ('adbox/confirmations.py',
             '            "update confirmations set tries = ?, crashes = 0, due_at = ? where ref = ?",\n'
             '            (tries, time.time() + delay + GRACE, ref),\n',
             '            "update confirmations set state = ?, tries = ?, crashes = 0, due_at = ?"\n'
             '            " where ref = ? and state = \'open\'",\n'
             '            ("waiting" if delay else "open", tries, time.time() + delay + GRACE, ref),\n'),
            ('adbox/confirmations.py',
             '                "update confirmations set state = \'dead\' where ref = ? and state = \'open\'", (ref,)\n',
             '                "update confirmations set state = \'dead\'"\n'
             '                " where ref = ? and state in (\'open\', \'waiting\')", (ref,)\n'),
            ('tests/test_confirm.py', '== ("open", 1)', '== ("waiting", 1)')]}]
