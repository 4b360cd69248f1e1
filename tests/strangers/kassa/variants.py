VARIANTS = [
    {
        "id": "advisory-lock",
        "kind": "correct",
        "job": "capture-payment",
        "what": "Exclusion by a PostgreSQL advisory lock that is held on a connection of its own for the length of the attempt, "
        "instead of by the lease: a row that is found 'capturing' by the holder of the lock was left by a dead worker and "
        "is taken over at once. lease_until only tells the sweep from when on it may look.",
        "edits": [
            (
                "kassa/domain.py",
                """    if payment.state is State.CAPTURING and payment.lease_until is not None and payment.lease_until > now:
        return Step.BUSY
""",
                """    # CAPTURING is no obstacle: the caller has the payment's lock, so whoever left it in that state is gone.
""",
            ),
            (
                "kassa/domain.py",
                """# One attempt owns the payment for that long. Celery kills an attempt after 45 seconds (see celery_app), so the owner
# of an expired lease is not running any more.
LEASE = timedelta(seconds=60)
""",
                """# How long an attempt may take before the sweep looks after it. What keeps two attempts apart is the advisory lock.
LEASE = timedelta(seconds=60)
BUSY_WAIT = timedelta(seconds=30)
""",
            ),
            (
                "kassa/store.py",
                """    def claim(self, order_id: int, token: str, now: datetime) -> Claim:
        \"\"\"Decides""",
                """    @contextmanager
    def exclusive(self, order_id: int) -> Iterator[bool]:
        \"\"\"Whether this process alone works on the payment. PostgreSQL frees the lock with the connection, so with the worker.\"\"\"
        with psycopg.connect(self._dsn, autocommit=True, connect_timeout=5) as connection:
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", (order_id,)).fetchone()
            yield row is not None and bool(row[0])

    def claim(self, order_id: int, token: str, now: datetime) -> Claim:
        \"\"\"Decides""",
            ),
            (
                "kassa/service.py",
                """        token = uuid4().hex
        claim = self._store.claim(order_id, token, self._now())
        if claim.step is Step.START and claim.payment is not None:
            return self._attempt(claim.payment, token)
        return self._not_started(order_id, claim)
""",
                """        with self._store.exclusive(order_id) as alone:
            if not alone:
                log.info(
                    "job=%s order_id=%s idempotency_key=capture-%s attempt=- result=busy reason=another delivery has the lock",
                    JOB, order_id, order_id,
                )  # fmt: skip
                return Outcome("busy", BUSY_WAIT)
            token = uuid4().hex
            claim = self._store.claim(order_id, token, self._now())
            if claim.step is Step.START and claim.payment is not None:
                return self._attempt(claim.payment, token)
            return self._not_started(order_id, claim)
""",
            ),
            (
                "kassa/service.py",
                """        if claim.step is Step.BUSY and payment.lease_until is not None:
            # Its worker may be dead: look again when its lease is over.
            wait = max(payment.lease_until - self._now(), timedelta()) + timedelta(seconds=1)
            return self._report(logging.INFO, payment, "busy", "another delivery holds the lease", retry_in=wait)
""",
                "",
            ),
            (
                "kassa/service.py",
                "from kassa.domain import JOB, MAX_ATTEMPTS, InvalidMessage, Payment, Step, delay_after, parse_message, utcnow",
                "from kassa.domain import (\n"
                "    BUSY_WAIT,\n    JOB,\n    MAX_ATTEMPTS,\n    InvalidMessage,\n    Payment,\n    Step,\n    delay_after,\n"
                "    parse_message,\n    utcnow,\n)",
            ),
            (
                "README.md",
                "* An attempt leases the payment for a minute. A second delivery in that minute waits for the lease's end.",
                "* An attempt holds the payment's advisory lock. A second delivery meanwhile comes back every 30 seconds.",
            ),
            (
                "tests/test_domain.py",
                "lease_until=NOW + timedelta(seconds=5)), Step.BUSY),",
                "lease_until=NOW + timedelta(seconds=5)), Step.START),",
            ),
            (
                "tests/test_capture.py",
                """    busy = service.handle(MESSAGE)
    assert busy.result == "busy" and busy.retry_in is not None
""",
                """    with store.exclusive(1001) as alone:
        assert alone
        busy = service.handle(MESSAGE)
    assert busy.result == "busy" and busy.retry_in is not None
""",
            ),
        ],
    },
    {
        "id": "key-per-attempt",
        "kind": "mistake",
        "job": "capture-payment",
        "what": "The Idempotency-Key has the number of the attempt in it, so that the gateway does not answer a retry with the stored "
        "503 of the attempt before. When the answer of a capture is lost (timeout after it took place, or kill -9 before the "
        "record), the next attempt has another key and the gateway takes the money a second time.",
        "edits": [
            (
                "kassa/domain.py",
                """        return f"capture-{self.order_id}"
""",
                """        # With the attempt in it: PayGate replays the stored answer of a key, errors included.
        return f"capture-{self.order_id}-{self.attempts}"
""",
            ),
            (
                "README.md",
                "`Idempotency-Key: capture-<order_id>`",
                "`Idempotency-Key: capture-<order_id>-<attempt>`",
            ),
            (
                "tests/test_capture.py",
                """    assert gateway.keys == ["capture-1001"]
    assert state(dsn) == ("captured", 1)
""",
                """    assert gateway.keys == ["capture-1001-1"]
    assert state(dsn) == ("captured", 1)
""",
            ),
            (
                "tests/test_capture.py",
                """    assert gateway.keys == ["capture-1001"] * 6
""",
                """    assert gateway.keys == [f"capture-1001-{attempt}" for attempt in range(1, 7)]
""",
            ),
            (
                "tests/test_capture.py",
                "idempotency_key=capture-1001 attempt=6 result=dead",
                "idempotency_key=capture-1001-6 attempt=6 result=dead",
            ),
            (
                "tests/test_capture.py",
                """    assert service.handle(MESSAGE).result == "dead"
    assert gateway.keys == ["capture-1001"]
""",
                """    assert service.handle(MESSAGE).result == "dead"
    assert gateway.keys == ["capture-1001-1"]
""",
            ),
        ],
    },
    {
        "id": "sweep-blind-for-new",
        "kind": "mistake",
        "job": "capture-payment",
        "what": "The sweep's three conditions are folded into one over greatest(next_attempt_at, lease_until). Both are NULL for a payment "
        "that no attempt has touched, so a message that is lost before its first attempt (the process dies between the commit and "
        "the publish, the broker is down, Redis loses it) is never brought back: the order ships and is never paid.",
        "edits": [
            (
                "kassa/store.py",
                """                " WHERE (state = 'authorised' AND capture_requested_at <= %(overdue)s)"
                " OR (state = 'retrying' AND next_attempt_at <= %(overdue)s)"
                " OR (state = 'capturing' AND lease_until <= %(overdue)s)"
""",
                """                " WHERE state IN ('authorised', 'retrying', 'capturing')"
                " AND greatest(next_attempt_at, lease_until) <= %(overdue)s"
""",
            ),
            (
                "tests/test_capture.py",
                """def test_the_sweep_finds_a_message_that_was_never_sent(store: PaymentStore) -> None:
    now = utcnow()
    assert store.stuck(now, timedelta(seconds=30), 10) == []
    store.request_capture(1002, now - timedelta(minutes=1))
    assert store.stuck(now, timedelta(seconds=30), 10) == [1002]
""",
                """def test_the_sweep_finds_a_retry_that_was_never_sent(store: PaymentStore) -> None:
    clock = Clock()
    store.request_capture(1001, clock())
    CaptureService(store, Gateway(GatewayUnavailable("503")), clock).handle(MESSAGE)
    assert store.stuck(clock(), timedelta(seconds=30), 10) == []
    clock.forward(minutes=1)
    assert store.stuck(clock(), timedelta(seconds=30), 10) == [1001]
""",
            ),
        ],
    },
    {
        "id": "dead-letter-apart",
        "kind": "mistake",
        "job": "capture-payment",
        "what": "Giving up is two transactions: the state becomes 'dead', then the dead letter is inserted. A kill -9 (or a store that "
        "fails) between the two leaves a dead payment without a dead letter; the redelivery finds it finished and skips it, "
        "and the sweep does not look at dead ones: the job is gone without a record.",
        "edits": [
            (
                "kassa/store.py",
                """        \"\"\"State and dead letter go together, unless somebody else has taken the payment over.\"\"\"
        with self._transaction() as cursor:
            cursor.execute(
                "SELECT 1 FROM payments WHERE order_id = %s AND state = 'capturing' AND lease_token = %s FOR UPDATE",
                (payment.order_id, token),
            )
            if cursor.fetchone() is None:
                return False
            self._bury(cursor, payment, reason)
            return True
""",
                """        \"\"\"Ends the payment, unless somebody else has taken it over.\"\"\"
        with self._transaction() as cursor:
            cursor.execute(
                "UPDATE payments SET state = 'dead', last_error = %s, lease_token = NULL, lease_until = NULL,"
                " next_attempt_at = NULL WHERE order_id = %s AND state = 'capturing' AND lease_token = %s",
                (reason, payment.order_id, token),
            )
            return cursor.rowcount == 1

    def bury_payment(self, payment: Payment, reason: str) -> None:
        \"\"\"Keeps a payment that was given up for a person.\"\"\"
        with self._transaction() as cursor:
            self._insert_dead_letter(cursor, payment.order_id, payment.attempts, reason)
""",
            ),
            (
                "kassa/service.py",
                """        if not self._store.give_up(payment, token, reason):
            return self._report(logging.WARNING, payment, "overtaken", reason)
""",
                """        if not self._store.give_up(payment, token, reason):
            return self._report(logging.WARNING, payment, "overtaken", reason)
        self._store.bury_payment(payment, reason)
""",
            ),
        ],
    },
]
