"""The database is locked or drops the connection at any statement or commit."""

VARIANTS = [
    {
        "base": "petvault",
        "id": "p-store-fails-1",
        "kind": "mistake",
        "job": "send-invoice",
        "event": "store-fails",
        "what": "_may_pass names the errors of the providers only (the database's are 'dealt with at the claim'). A lock when "
        "the stored key or the end of the job is noted counts as an error that stays: the invoice is given up in its "
        "first attempt, 'failed' with a dead letter although the mail has left. Breaks done once with the right end, and "
        "that what passes is tried again (six attempts).",
        "edits": [
            (
                "petvault/tasks.py",
                "    if isinstance(error, post.NotSent):\n"
                "        return error.code < 500\n"
                "    return isinstance(error, (VaultUnavailable, OperationalError, SoftTimeLimitExceeded))\n",
                "    # of the vault and the relay; that the database is away is seen when the claim is taken\n"
                "    if isinstance(error, post.NotSent):\n"
                "        return error.code < 500\n"
                "    return isinstance(error, (VaultUnavailable, SoftTimeLimitExceeded))\n",
            ),
        ],
    },
    {
        "base": "labtrack",
        "id": "p-store-fails-2",
        "kind": "mistake",
        "job": "send-report",
        "event": "store-fails",
        "what": "Units of work share one connection per thread, which is opened once and never looked at again. When the "
        "server drops it, every later unit of work of that worker fails with 'the connection is closed', attempts are "
        "neither counted nor given up, and the sweep in the same worker fails, too: reports stand still without a "
        "record until somebody restarts it. Breaks retry, dead_letter and recovers.",
        "edits": [
            (
                "labtrack/db.py",
                "import psycopg\nfrom psycopg.rows import dict_row\n",
                "import threading\n\nimport psycopg\nfrom psycopg.rows import dict_row\n",
            ),
            (
                "labtrack/db.py",
                "class UnitOfWork:\n",
                "_kept = threading.local()\n"
                "\n\n"
                "def _connection(dsn):\n"
                '    """One for each thread: to connect takes longer than most of our transactions."""\n'
                "    by_dsn = _kept.__dict__\n"
                "    if dsn not in by_dsn:\n"
                "        by_dsn[dsn] = psycopg.connect(dsn, row_factory=dict_row)\n"
                "    return by_dsn[dsn]\n"
                "\n\n"
                "class UnitOfWork:\n",
            ),
            (
                "labtrack/db.py",
                "        self.connection = psycopg.connect(self.dsn, row_factory=dict_row)\n",
                "        self.connection = _connection(self.dsn)\n",
            ),
            (
                "labtrack/db.py",
                "        self.connection.close()  # rolls back what was not committed\n",
                "        self.connection.rollback()  # what was not committed\n",
            ),
        ],
    },
    {
        "base": "hosthub",
        "id": "p-store-fails-3",
        "kind": "mistake",
        "job": "provision-server",
        "event": "store-fails",
        "what": "The subscription is opened by a function of its own (support wants to call it as well), in a transaction after "
        "the one that makes the server active. If that second one meets a lock, the retry finds the server ended: the "
        "customer has a server and never pays. Breaks the state subscriptions (one per active server).",
        "edits": [
            (
                "hosthub/servers.py",
                '    """The customer has a server, and pays for it from now on."""\n'
                "    async with db.transaction() as tx:\n"
                "        await _move(tx, server, Status.ACTIVE)\n"
                '        await tx.execute("insert into subscriptions (server_id, plan, started_at) values (?, ?, ?)",\n',
                '    """The customer has a server, and pays for it from now on."""\n'
                "    async with db.transaction() as tx:\n"
                "        await _move(tx, server, Status.ACTIVE)\n"
                "    await subscribe(server)\n"
                "\n\n"
                "async def subscribe(server: Server) -> None:\n"
                "    async with db.transaction() as tx:\n"
                '        await tx.execute("insert into subscriptions (server_id, plan, started_at) values (?, ?, ?)",\n',
            ),
        ],
    },
    {
        "base": "ticketbay",
        "id": "p-store-fails-4",
        "kind": "mistake",
        "job": "settle-order",
        "event": "store-fails",
        "what": "If the charge cannot be written down (database is locked) it is given back at once and the error raised, 'the "
        "retry charges anew'. But the gateway answers the retry's charge-<id> with the first charge, which is refunded "
        "by now: the order ends as paid and the buyer has his money back. Breaks the invariant (refunded only while a "
        "refund is due; the money and orders.status agree).",
        "edits": [
            (
                "ticketbay/tasks.py",
                "    # attention: another delivery gave up in the meantime, but the gateway has answered this one\n"
                "    if not advance(order.id, (CHARGING, ATTENTION), PAID, charge_id=charge_id):\n",
                "    # attention: another delivery gave up in the meantime, but the gateway has answered this one\n"
                "    try:\n"
                "        moved = advance(order.id, (CHARGING, ATTENTION), PAID, charge_id=charge_id)\n"
                "    except OperationalError:\n"
                "        # nobody may have paid for an order that knows nothing of it; the retry charges anew\n"
                '        log.warning("charge could not be written down, giving it back", charge_id=charge_id)\n'
                '        gateway.refund(charge_id, order.amount_cents, idempotency_key=f"refund-{order.id}")\n'
                "        raise\n"
                "    if not moved:\n",
            ),
        ],
    },
    {
        "base": "sensorhub",
        "id": "p-store-fails-5",
        "kind": "mistake",
        "job": "push-alarm",
        "event": "store-fails",
        "what": "The worker remembers in memory which alarms it has paged, so that copies need not wait for the database. It "
        "does so before the receipt is committed: if that commit is refused, the retry (and what the cron job "
        "publishes) meets the memory, says delivered, and the alarm stays dispatched without a receipt and without a "
        "record. Breaks the states alarms and receipts.",
        "edits": [
            (
                "sensorhub/push.py",
                "        alarm_id = read(message)\n"
                '        attempt, alarm = await begin(ctx["db"], alarm_id)\n',
                "        alarm_id = read(message)\n"
                "        # copies come in bunches when much is burning, just when the database is busy\n"
                '        paged = ctx.setdefault("paged", set())\n'
                "        if alarm_id in paged:\n"
                '            log.info("nothing to do, this worker has paged alarm %s", alarm_id)\n'
                '            return "delivered"\n'
                '        attempt, alarm = await begin(ctx["db"], alarm_id)\n',
            ),
            (
                "sensorhub/push.py",
                '        await deliver(ctx["db"], alarm, receipt)\n',
                "        paged.add(alarm_id)\n"
                '        await deliver(ctx["db"], alarm, receipt)\n',
            ),
            (
                "sensorhub/worker.py",
                '    ctx["db"] = config.db\n',
                '    ctx["db"] = config.db\n    ctx["paged"] = set()\n',
            ),
        ],
    },
    {
        "base": "tilefactory",
        "id": "ok-store-fails-1",
        "kind": "correct",
        "job": "build-batch",
        "event": "store-fails",
        "what": "Right: each function of batches is one transaction that may be run twice, and is run again on the spot, up to "
        "three times with short pauses, when SQLite says no; what lasts longer is RQ's retry as before.",
        "edits": [
            (
                "tilefactory/batches.py",
                "import json\nimport time\nfrom dataclasses import dataclass\n",
                "import functools\nimport json\nimport logging\nimport sqlite3\nimport time\nfrom dataclasses import dataclass\n",
            ),
            (
                "tilefactory/batches.py",
                "class NoSuchBatch(Exception):\n",
                "logger = logging.getLogger(__name__)\n"
                "\n"
                "PAUSES = (0.1, 0.4, 1.5)\n"
                "\n\n"
                "def patient(change):\n"
                '    """For functions that are one transaction, and that harm nothing when they are run twice: also a\n'
                '    commit of which nobody knows whether it went through."""\n'
                "\n"
                "    @functools.wraps(change)\n"
                "    def again(*args, **kwargs):\n"
                "        for pause in PAUSES:\n"
                "            try:\n"
                "                return change(*args, **kwargs)\n"
                "            except sqlite3.OperationalError as exc:\n"
                '                logger.warning("%s%r: %s, again in %s s", change.__name__, args[:1], exc, pause)\n'
                "                time.sleep(pause)\n"
                "        return change(*args, **kwargs)\n"
                "\n"
                "    return again\n"
                "\n\n"
                "class NoSuchBatch(Exception):\n",
            ),
            ("tilefactory/batches.py", "def begin(batch_id: int) -> Attempt:\n", "@patient\ndef begin(batch_id: int) -> Attempt:\n"),
            (
                "tilefactory/batches.py",
                "def features(batch_id: int) -> list[dict]:\n",
                "@patient\ndef features(batch_id: int) -> list[dict]:\n",
            ),
            ("tilefactory/batches.py", "def finish(batch_id: int, layer: str,", "@patient\ndef finish(batch_id: int, layer: str,"),
            (
                "tilefactory/batches.py",
                "def bury(batch_id: int, reason: str) -> bool:\n",
                "@patient\ndef bury(batch_id: int, reason: str) -> bool:\n",
            ),
            (
                "tilefactory/batches.py",
                "def bury_message(message, reason: str) -> None:\n",
                "@patient\ndef bury_message(message, reason: str) -> None:\n",
            ),
        ],
    },
    {
        "base": "mailcourier",
        "id": "ok-store-fails-2",
        "kind": "correct",
        "job": "deliver-copy",
        "event": "store-fails",
        "what": "Right: that a letter has left is put down in the queue's file at once, which is another database. If the "
        "delivery's row cannot be written then, whoever takes it up next finds the note, mails nothing and writes the row.",
        "edits": [
            (
                "mailcourier/tasks.py",
                '    if row["attempts"] > deliveries.MAX_ATTEMPTS:\n',
                "    if has_left(message_id_of(key)):\n"
                "        mail(key, row, task, about)\n"
                '    elif row["attempts"] > deliveries.MAX_ATTEMPTS:\n',
            ),
            (
                "mailcourier/tasks.py",
                '    message_id = "<issue-{}.reader-{}@{}>".format(*key, config.DOMAIN)\n',
                "    message_id = message_id_of(key)\n",
            ),
            (
                "mailcourier/tasks.py",
                "def mail(key, row, task, about):\n",
                "def message_id_of(key):\n"
                '    return "<issue-{}.reader-{}@{}>".format(*key, config.DOMAIN)\n'
                "\n\n"
                "def mail(key, row, task, about):\n",
            ),
            (
                "mailcourier/tasks.py",
                "    try:\n        postman.send(write(row, row, message_id))\n",
                "    try:\n"
                "        if not has_left(message_id):\n"
                "            postman.send(write(row, row, message_id))\n"
                "            note_left(message_id, about)\n",
            ),
            (
                "mailcourier/tasks.py",
                "    deliveries.sent(*key, message_id)\n"
                '    log.info("delivery succeeded", extra={**about, "message_id": message_id})\n',
                "    deliveries.sent(*key, message_id)\n"
                '    log.info("delivery succeeded", extra={**about, "message_id": message_id})\n'
                "    forget_left(message_id)\n"
                "\n\n"
                "# The queue's file keeps, besides the tasks, which letters have left and are not in the deliveries yet:\n"
                "# the two databases are seldom locked together.\n"
                "\n\n"
                "def has_left(message_id):\n"
                "    try:\n"
                '        return bool(huey.get(f"left:{message_id}", peek=True))\n'
                "    except sqlite3.Error:\n"
                "        return False\n"
                "\n\n"
                "def note_left(message_id, about):\n"
                "    try:\n"
                '        huey.put(f"left:{message_id}", True)\n'
                "    except sqlite3.Error as error:\n"
                '        log.warning("that the letter has left could not be noted: %r", error, extra=about)\n'
                "\n\n"
                "def forget_left(message_id):\n"
                "    try:\n"
                '        huey.delete(f"left:{message_id}")\n'
                "    except sqlite3.Error:\n"
                "        pass  # it does no harm\n",
            ),
        ],
    },
]

VARIANTS += [{'base': 'mailcourier',
  'id': 'q-store-fails-1',
  'kind': 'mistake',
  'job': 'deliver-copy',
  'event': 'store-fails',
  'what': "deliveries.sent() stands in the same try as the letter. Sequence: the relay takes the letter (250), the update to 'sent' fails "
          'once with sqlite3.OperationalError (locked, I/O error); that is no OSError, so is_final() says yes, and give_up() writes '
          "'failed' and a dead letter, with no further attempt: the reader has the issue, the books say undeliverable (transient by its "
          'nature, and dead letters are for what cannot be mailed). Base: the error leaves the task, the lease runs out, the rescue takes '
          "it up, it ends as 'sent'.",
  'edits': [('mailcourier/tasks.py',
             '        postman.send(write(row, row, message_id))\n    except Exception as error:\n',
             '        postman.send(write(row, row, message_id))\n'
             '        deliveries.sent(*key, message_id)\n'
             '    except Exception as error:\n'),
            ('mailcourier/tasks.py',
             '        raise\n    deliveries.sent(*key, message_id)\n    log.info("delivery succeeded"',
             '        raise\n    log.info("delivery succeeded"')]},
 {'base': 'mailcourier',
  'id': 'q-store-fails-2',
  'kind': 'correct',
  'job': 'deliver-copy',
  'event': 'store-fails',
  'what': "Correct. sent() stands in the try as well, but errors of the store have a clause of their own before the relay's: they leave "
          'the task, the lease runs out and the rescue takes the delivery up, as in base.',
  'edits': [('mailcourier/tasks.py',
             '        postman.send(write(row, row, message_id))\n    except Exception as error:\n',
             '        postman.send(write(row, row, message_id))\n'
             '        deliveries.sent(*key, message_id)\n'
             '    except sqlite3.Error as error:\n'
             '        log.warning("letter is out, but not written down: %r", error, extra=about)\n'
             '        raise\n'
             '    except Exception as error:\n'),
            ('mailcourier/tasks.py',
             '        raise\n    deliveries.sent(*key, message_id)\n    log.info("delivery succeeded"',
             '        raise\n    log.info("delivery succeeded"')]}]
