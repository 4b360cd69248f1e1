VARIANTS = [
    {
        "id": "lease",
        "kind": "correct",
        "job": "confirmation-sms",
        "what": "A delivery takes a lease on the row for 90 seconds; a second delivery at once waits for it instead of sending under the "
        "same client_ref. The lease is given back after a failed attempt, and runs out where the worker died.",
        "edits": [
            (
                "clinic/models.py",
                "    requeues: Mapped[int] = mapped_column(default=0)\n",
                "    requeues: Mapped[int] = mapped_column(default=0)\n"
                "    leased_until: Mapped[float] = mapped_column(default=0)  # whose attempt runs holds the row until then\n",
            ),
            (
                "clinic/store.py",
                "    text: str\n    requested_at: int\n\n\nCOLUMNS",
                "    text: str\n    requested_at: int\n    leased_until: float\n    mine: bool\n\n\nCOLUMNS",
            ),
            (
                "clinic/store.py",
                "    Confirmation.requested_at,\n)",
                "    Confirmation.requested_at,\n    Confirmation.leased_until,\n)\n\n"
                "LEASE_S = 90  # longer than the job_timeout of the worker",
            ),
            (
                "clinic/store.py",
                '''    """Counts one more attempt if the SMS is still to be sent. None: there is no such confirmation."""
    row_id = Confirmation.appointment_id == appointment_id
''',
                '''    """Takes the lease and counts one more attempt if the SMS is still to be sent and nobody is at it.

    None: there is no such confirmation.
    """
    row_id = Confirmation.appointment_id == appointment_id
    now = time.time()
''',
            ),
            (
                "clinic/store.py",
                '''            .where(row_id, Confirmation.status == Status.PENDING)
            .values(attempts=Confirmation.attempts + 1, due_at=int(time.time()))
''',
                '''            .where(row_id, Confirmation.status == Status.PENDING, Confirmation.leased_until <= now)
            .values(attempts=Confirmation.attempts + 1, due_at=int(now), leased_until=now + LEASE_S)
''',
            ),
            (
                "clinic/store.py",
                '''        row = counted.one_or_none() or (await session.execute(select(*COLUMNS).where(row_id))).one_or_none()
    return Claim(*row) if row else None
''',
                '''        if row := counted.one_or_none():
            return Claim(*row, mine=True)
        row = (await session.execute(select(*COLUMNS).where(row_id))).one_or_none()
    return Claim(*row, mine=False) if row else None
''',
            ),
            (
                "clinic/store.py",
                "            .values(last_error=reason, due_at=int(time.time() + retry_in_s))\n",
                "            .values(last_error=reason, due_at=int(time.time() + retry_in_s), leased_until=0)\n",
            ),
            (
                "clinic/jobs.py",
                "    if claim.attempt > cfg.max_attempts:\n",
                '''    if not claim.mine:
        wait = max(claim.leased_until - time.time(), 0) + 1
        log.info("confirmation.busy", result="retry", retry_in_s=round(wait, 1), reason="another delivery is at it")
        raise Retry(defer=wait)
    if claim.attempt > cfg.max_attempts:
''',
            ),
            (
                "clinic/worker.py",
                '''        # One delivery more than attempts: after the fifth death somebody has to write the dead letter.
        func(jobs.send_confirmation, name="send_confirmation", max_tries=get_settings().max_attempts + 1),
''',
                '''        # Each death may cost a second delivery that finds the lease taken; after the fifth somebody has to write
        # the dead letter.
        func(jobs.send_confirmation, name="send_confirmation", max_tries=2 * get_settings().max_attempts + 2),
''',
            ),
            (
                ".skillrun/jobs/confirmation-sms.yaml",
                "worker: {deliveries: 6}",
                "worker: {deliveries: 12}",
            ),
            (
                "tests/test_jobs.py",
                "    for _ in range(5):\n        await store.claim(7)\n",
                '''    for _ in range(5):
        await store.claim(7)
        rows("update confirmations set leased_until = 0")
''',
            ),
        ],
    },
    {
        "id": "reference-per-attempt",
        "kind": "mistake",
        "job": "confirmation-sms",
        "what": "The client_ref has the attempt in it, so that support can tell the attempts apart in the provider's console. When the answer "
        "is lost (ReadTimeout after the provider took the SMS), or the worker dies before mark_sent, the next attempt sends a second SMS.",
        "edits": [
            (
                "clinic/jobs.py",
                '''def client_ref(appointment_id: int) -> str:
    return f"clinic-confirmation-{appointment_id}"
''',
                '''def client_ref(appointment_id: int, attempt: int) -> str:
    """Unique for each request, so that support finds every attempt in the provider's console."""
    return f"clinic-confirmation-{appointment_id}-{attempt}"
''',
            ),
            (
                "clinic/jobs.py",
                "    ref = client_ref(appointment_id)\n    log = log.bind(appointment_id=appointment_id, client_ref=ref)\n",
                "    log = log.bind(appointment_id=appointment_id)\n",
            ),
            (
                "clinic/jobs.py",
                "    log = log.bind(attempt=claim.attempt)\n",
                "    ref = client_ref(appointment_id, claim.attempt)\n    log = log.bind(attempt=claim.attempt, client_ref=ref)\n",
            ),
            (
                "clinic/jobs.py",
                '''        log = logger.bind(
            job=store.JOB, appointment_id=appointment_id, client_ref=client_ref(appointment_id), attempt=attempts
        )
''',
                "        log = logger.bind(job=store.JOB, appointment_id=appointment_id, attempt=attempts)\n",
            ),
            (
                "tests/test_jobs.py",
                'async def test_sends_once_however_often_it_is_delivered(rows, ctx, provider):\n    await run(ctx, 3)\n'
                '    assert provider.refs == ["clinic-confirmation-7"]\n',
                'async def test_sends_once_however_often_it_is_delivered(rows, ctx, provider):\n    await run(ctx, 3)\n'
                '    assert provider.refs == ["clinic-confirmation-7-1"]\n',
            ),
            (
                "tests/test_jobs.py",
                'async def test_same_reference_on_every_attempt(rows, ctx, provider):',
                'async def test_every_attempt_can_be_traced(rows, ctx, provider):',
            ),
            (
                "tests/test_jobs.py",
                '    assert provider.refs == ["clinic-confirmation-7"] * 4\n',
                '    assert provider.refs == [f"clinic-confirmation-7-{n}" for n in (1, 2, 3, 4)]\n',
            ),
            (
                "tests/test_queue.py",
                '    assert provider.refs == ["clinic-confirmation-7"]\n',
                '    assert provider.refs == ["clinic-confirmation-7-1"]\n',
            ),
        ],
    },
    {
        "id": "last-death-unrecorded",
        "kind": "mistake",
        "job": "confirmation-sms",
        "what": "Attempts are bounded by arq's max_tries alone, and the sweep leaves rows alone that have used up their attempts since they "
        "are 'on their way into the dead letters'. When the worker dies in the fifth attempt (or the store fails at the dead letter), arq "
        "drops the job unasked: the row stays pending for ever, without an SMS or a dead letter.",
        "edits": [
            (
                "clinic/worker.py",
                '''        # One delivery more than attempts: after the fifth death somebody has to write the dead letter.
        func(jobs.send_confirmation, name="send_confirmation", max_tries=get_settings().max_attempts + 1),
''',
                '''        func(jobs.send_confirmation, name="send_confirmation", max_tries=get_settings().max_attempts),
''',
            ),
            (
                "clinic/store.py",
                "            .where(Confirmation.status == Status.PENDING, Confirmation.due_at <= int(time.time()) - older_than_s)\n",
                '''            .where(
                Confirmation.status == Status.PENDING,
                # The fifth attempt ends in the dead letters by itself.
                Confirmation.attempts < get_settings().max_attempts,
                Confirmation.due_at <= int(time.time()) - older_than_s,
            )
''',
            ),
            (
                "clinic/store.py",
                "from clinic.models import Confirmation, DeadLetter, Status\n",
                "from clinic.models import Confirmation, DeadLetter, Status\nfrom clinic.settings import get_settings\n",
            ),
        ],
    },
    {
        "id": "sweep-only-untouched",
        "kind": "mistake",
        "job": "confirmation-sms",
        "what": "The sweep looks only for confirmations that no worker has touched (attempts = 0), because whatever has begun 'is retried by "
        "arq'. When Redis loses the job while it waits for its second attempt, or arq drops it after a timeout, nobody brings it back: "
        "neither sent nor dead.",
        "edits": [
            (
                "clinic/store.py",
                '''    """(appointment, attempts, requeues) of what should have moved on by now."""
''',
                '''    """(appointment, attempts, requeues) of what never reached a worker. What did is retried by arq."""
''',
            ),
            (
                "clinic/store.py",
                "            .where(Confirmation.status == Status.PENDING, Confirmation.due_at <= int(time.time()) - older_than_s)\n",
                '''            .where(
                Confirmation.status == Status.PENDING,
                Confirmation.attempts == 0,
                Confirmation.due_at <= int(time.time()) - older_than_s,
            )
''',
            ),
        ],
    },
]
