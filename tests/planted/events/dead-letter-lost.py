"""The dead letter cannot be written, or the process dies while it is."""

VARIANTS = [
    {
        "base": "boxoffice",
        "id": "p-dead-letter-lost-1",
        "kind": "mistake",
        "job": "refund-order",
        "event": "dead-letter-lost",
        "what": "Writing the letter is a function of its own now, with its own transaction, after the one that closes the "
        "refund. Where it fails or the process dies in between, the refund is 'failed' without a dead letter; the next "
        "delivery finds it closed and leaves it. Breaks dead_letter (table dead_letters): given up without a record.",
        "edits": [
            (
                "boxoffice/refunds.py",
                "            if not ended:\n                return\n        tx.execute(\n            upsert(dead_letters).values(\n",
                "            if not ended:\n                return\n    keep_letter(message_id, order_id, kwargs, reason)\n"
                "\n\n"
                "def keep_letter(message_id: str, order_id: int | None, kwargs: dict, reason: str) -> None:\n"
                '    """A message that nobody will try again, for the people at the box office."""\n'
                "    with db.begin() as tx:\n"
                "        tx.execute(\n            upsert(dead_letters).values(\n",
            ),
        ],
    },
    {
        "base": "beanroast",
        "id": "p-dead-letter-lost-2",
        "kind": "mistake",
        "job": "ship-order",
        "event": "dead-letter-lost",
        "what": "The dead letter is written on commit, 'so that whoever is told of it finds the run failed already'. A lock or "
        "a kill between the commit and the letter leaves a failed run without one, and bury() does nothing for a run "
        "that is not open. Breaks dead_letter (table jobs_deadletter).",
        "edits": [
            (
                "jobs/house.py",
                "        JobRun.objects.filter(id=name).update(state=JobRun.FAILED, touched_at=timezone.now())\n"
                "        DeadLetter.objects.get_or_create(\n"
                '            run_id=name, defaults={"function": path, "message": repr(message), "reason": repr(error)}\n'
                "        )\n",
                "        JobRun.objects.filter(id=name).update(state=JobRun.FAILED, touched_at=timezone.now())\n"
                "        # the office's mail goes out with the letter, and must find the run failed\n"
                "        transaction.on_commit(\n"
                "            functools.partial(\n"
                "                DeadLetter.objects.get_or_create,\n"
                "                run_id=name,\n"
                '                defaults={"function": path, "message": repr(message), "reason": repr(error)},\n'
                "            )\n"
                "        )\n",
            ),
        ],
    },
    {
        "base": "tollgate",
        "id": "p-dead-letter-lost-3",
        "kind": "mistake",
        "job": "charge-passage",
        "event": "dead-letter-lost",
        "what": "The rescue leaves charges alone that have a failed job, 'those are with the clerks'. If the refusal could not "
        "be written when the job failed, they are not: the charge stays open, no refusal, no job, and nobody looks at "
        "it again. Breaks dead_letter (table refusals) and recovers (upkeep:rescue).",
        "edits": [
            (
                "tollgate/upkeep.py",
                "# Charge and job commit together and the job outlives its worker, so this finds little: jobs that\n"
                "# somebody deleted, or that failed while their refusal could not be written either.\n",
                "# Charge and job commit together and the job outlives its worker, so this finds little: jobs that\n"
                "# somebody deleted. What failed is with the clerks, and must not be ordered behind their backs.\n",
            ),
            (
                "tollgate/upkeep.py",
                "    where j.task_name = 'charge_passage' and j.status in ('todo', 'doing')\n",
                "    where j.task_name = 'charge_passage' and j.status in ('todo', 'doing', 'failed')\n",
            ),
        ],
    },
    {
        "base": "cloudkeys",
        "id": "p-dead-letter-lost-4",
        "kind": "mistake",
        "job": "provision-key",
        "event": "dead-letter-lost",
        "what": "A dead letter that cannot be written is logged, and that was it, 'the sweep brings an open request back'. For "
        "a malformed message or an unknown request there is nothing to sweep: it is gone without a record; and a "
        "request that the partner refused for good is put to it again by the sweep. Breaks dead_letter (table "
        "dead_letters) and failures.permanent.",
        "edits": [
            (
                "cloudkeys/jobs.py",
                "    except Exception as exc:\n"
                '        log.error("dead letter could not be written", reason=reason, exc_info=True)\n'
                "        raise Retry(defer=60) from exc\n",
                "    except Exception:\n"
                "        # a retry here would only ask the partner once more; the sweep finds what is still open\n"
                '        log.error("dead letter could not be written", reason=reason, exc_info=True)\n'
                "        return\n",
            ),
        ],
    },
    {
        "base": "ferryboard",
        "id": "p-dead-letter-lost-5",
        "kind": "mistake",
        "job": "issue-refund",
        "event": "dead-letter-lost",
        "what": "MAX_TRIES is five now, as retry says, and the sweep passes over refunds that have had their tries, 'they are "
        "in the dead letters'. Dramatiq logs and forgets an error in the middleware: if bury() could not write after "
        "the fifth try, the message is acked, the refund stays requested with five tries, and the sweep never takes it. "
        "Breaks dead_letter (table bookings_deadletter) and recovers.",
        "edits": [
            (
                "bookings/refunds.py",
                "    # Five tries of one message, a few more for workers that died under it and\n"
                "    # for messages that were sent again.\n"
                "    MAX_TRIES = 8\n",
                "    # However they end, and however many messages they are spread over.\n"
                "    MAX_TRIES = 5\n",
            ),
            (
                "bookings/sweeps.py",
                "        status=Refund.Status.REQUESTED, touched_at__lt=timezone.now() - STALLED_AFTER\n",
                "        status=Refund.Status.REQUESTED,\n"
                "        touched_at__lt=timezone.now() - STALLED_AFTER,\n"
                "        tries__lt=RefundService.MAX_TRIES,  # the others are in the dead letters\n",
            ),
            (
                "bookings/sweeps.py",
                "from bookings.models import Refund\n",
                "from bookings.models import Refund\nfrom bookings.refunds import RefundService\n",
            ),
            (".skillrun/jobs/issue-refund.yaml", "  deliveries: 9\n", "  deliveries: 6\n"),
        ],
    },
    {
        "base": "tilefactory",
        "id": "ok-dead-letter-lost-1",
        "kind": "correct",
        "job": "build-batch",
        "event": "dead-letter-lost",
        "what": "Right: there is no letter that could be lost apart from the batch. One update makes the batch dead with its "
        "reason, and dead_letters is a view of the dead batches and of the messages that belong to none.",
        "edits": [
            (
                "tilefactory/db.py",
                "    released_at real,\n    enqueued_at real,\n    touched_at  real\n);\n",
                "    released_at real,\n    enqueued_at real,\n    touched_at  real,\n    reason      text,\n    died_at     real\n);\n",
            ),
            (
                "tilefactory/db.py",
                "create table if not exists dead_letters (\n"
                "    message   text primary key,\n"
                "    batch_id  integer,\n"
                "    reason    text not null,\n"
                "    attempts  integer not null,\n"
                "    buried_at real not null\n"
                ");\n",
                "create table if not exists bad_messages (\n"
                "    message   text primary key,\n"
                "    reason    text not null,\n"
                "    buried_at real not null\n"
                ");\n"
                "create view if not exists dead_letters as\n"
                "    select '{\"batch_id\": ' || id || '}' as message, id as batch_id, reason, attempts, died_at as buried_at\n"
                "    from batches where status = 'dead'\n"
                "    union all\n"
                "    select message, null, reason, 0, buried_at from bad_messages;\n",
            ),
            (
                "tilefactory/batches.py",
                '        tx.execute("delete from dead_letters where batch_id = ?", (batch_id,))\n',
                "",
            ),
            (
                "tilefactory/batches.py",
                "            \"update batches set status = 'done' where id = ? and status <> 'done'\", (batch_id,))\n",
                "            \"update batches set status = 'done', reason = null where id = ? and status <> 'done'\", (batch_id,))\n",
            ),
            (
                "tilefactory/batches.py",
                '    """Give a batch up, with a dead letter. False where it was done or dead before."""\n'
                "    with db.transaction() as tx:\n"
                "        changed = tx.execute(\n"
                "            \"update batches set status = 'dead' where id = ? and status = 'ready'\", (batch_id,))\n"
                "        if changed.rowcount == 0:\n"
                "            return False\n"
                '        attempts = tx.execute("select attempts from batches where id = ?", (batch_id,)).fetchone()[0]\n'
                '        _dead_letter(tx, {"batch_id": batch_id}, batch_id, reason, attempts)\n'
                "        return True\n",
                '    """Give a batch up; from then on it is seen in dead_letters. False where it was done or dead before."""\n'
                "    with db.transaction() as tx:\n"
                "        return tx.execute(\n"
                "            \"update batches set status = 'dead', reason = ?, died_at = ? where id = ? and status = 'ready'\",\n"
                "            (reason, time.time(), batch_id)).rowcount == 1\n",
            ),
            (
                "tilefactory/batches.py",
                "    with db.transaction() as tx:\n"
                "        _dead_letter(tx, message, None, reason, 0)\n"
                "\n\n"
                "def _dead_letter(tx, message, batch_id, reason: str, attempts: int) -> None:\n"
                "    tx.execute(\n"
                '        "insert into dead_letters (message, batch_id, reason, attempts, buried_at) values (?, ?, ?, ?, ?)"\n'
                '        " on conflict (message) do update set reason = excluded.reason, attempts = excluded.attempts,"\n'
                '        " buried_at = excluded.buried_at",\n'
                "        (json.dumps(message, sort_keys=True, default=repr), batch_id, reason, attempts, time.time()))\n",
                "    with db.transaction() as tx:\n"
                "        tx.execute(\n"
                '            "insert into bad_messages (message, reason, buried_at) values (?, ?, ?)"\n'
                '            " on conflict (message) do update set reason = excluded.reason, buried_at = excluded.buried_at",\n'
                "            (json.dumps(message, sort_keys=True, default=repr), reason, time.time()))\n",
            ),
        ],
    },
    {
        "base": "rentdesk",
        "id": "ok-dead-letter-lost-2",
        "kind": "correct",
        "job": "collect-rent",
        "event": "dead-letter-lost",
        "what": "Right: the letter is written ahead. Whoever begins the last attempt records it as failed in the commit that "
        "counts it; the result takes the letter away or puts the reason in.",
        "edits": [
            (
                "rents/tasks.py",
                "    now = timezone.now()\n    taken = RentCharge.objects.filter(\n"
                "        pk=charge.pk, status__in=RentCharge.OPEN, attempts__lt=MAX_ATTEMPTS,\n"
                '    ).update(status=Status.COLLECTING, attempts=F("attempts") + 1, touched_at=now,\n'
                '             published_at=Coalesce("published_at", now))\n'
                "    if taken:\n"
                "        charge.refresh_from_db()\n"
                "    return bool(taken)\n",
                "    now = timezone.now()\n"
                "    with transaction.atomic():\n"
                "        taken = RentCharge.objects.filter(\n"
                "            pk=charge.pk, status__in=RentCharge.OPEN, attempts__lt=MAX_ATTEMPTS,\n"
                '        ).update(status=Status.COLLECTING, attempts=F("attempts") + 1, touched_at=now,\n'
                '                 published_at=Coalesce("published_at", now))\n'
                "        if taken:\n"
                "            charge.refresh_from_db()\n"
                "            if charge.attempts >= MAX_ATTEMPTS:\n"
                "                # written ahead: there may be nobody left to write it after this attempt\n"
                '                record(charge, "the last attempt began and did not report; look the debit up")\n'
                "    return bool(taken)\n",
            ),
            (
                "rents/tasks.py",
                "def record(charge, reason):\n    FailedCollection.objects.get_or_create(\n",
                "def record(charge, reason):\n    FailedCollection.objects.update_or_create(\n",
            ),
        ],
    },
]

VARIANTS += [{'base': 'boxoffice',
  'id': 'q-dead-letter-lost-1',
  'kind': 'mistake',
  'job': 'refund-order',
  'event': 'dead-letter-lost',
  'what': 'chase() leaves alone what has had its five attempts (those are in dead_letters). Sequence: Paynest is down five times; after '
          "the fifth attempt bury()'s transaction fails (database is locked). Dramatiq only logs an exception of a middleware and "
          "acknowledges the message. The refund stays 'pending' with attempts 5, without a row in dead_letters, and no sweep ever looks at "
          'it: money not given back and nobody told. Base: chase publishes it after 8 minutes, begin() raises Exhausted, bury() is tried '
          'again. (Killed while burying is survived: the message comes again.)',
  'edits': [('boxoffice/refunds.py',
             '            select(refunds.c.order_id).where(_OPEN, refunds.c.touched_at < older_than)\n',
             '            select(refunds.c.order_id)\n'
             '            .where(_OPEN, refunds.c.touched_at < older_than, refunds.c.attempts < policy.MAX_ATTEMPTS)\n')]}]
