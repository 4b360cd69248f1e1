LOST_ANSWER_TEST = '''    with pytest.raises(errors.GatewayUnavailable):
        execute(ORDER, "a")
    assert execute(ORDER, "a") == "submitted"
    assert bank.gateway.paid == {"E2E-2024-000101": 125_000}
    assert bank.rows("select count(*) from postings") == [(1,)]
'''

VARIANTS = [
    {
        "id": "retries-by-outbox",
        "kind": "correct",
        "job": "execute-transfer",
        "what": "A failed attempt is not retried by Celery: the outbox row is armed again with publish_after, and the relay "
        "publishes the next attempt when it is due. Celery's retries remain for errors of the store.",
        "edits": [
            (
                "treasury/model.py",
                '    """One per transfer. published_at is NULL while the message is to be published (again)."""\n',
                '    """One per transfer. published_at is NULL while the message is to be published (again), after publish_after."""\n',
            ),
            (
                "treasury/model.py",
                "    payload: Mapped[dict] = mapped_column(JSON)\n    published_at: Mapped[datetime | None]\n",
                "    payload: Mapped[dict] = mapped_column(JSON)\n    publish_after: Mapped[datetime | None]\n"
                "    published_at: Mapped[datetime | None]\n\n"
                "    def due_later_than(self, now: datetime) -> bool:\n"
                "        return self.published_at is None and self.publish_after is not None and self.publish_after > now\n",
            ),
            (
                "treasury/ports.py",
                "    def next_unpublished(self) -> OutboxMessage | None: ...\n    def arm(self, transfer_id: int) -> None: ...\n",
                "    def next_due(self, now: datetime) -> OutboxMessage | None: ...\n"
                "    def arm(self, transfer_id: int, publish_after: datetime | None = None) -> None: ...\n",
            ),
            (
                "treasury/uow.py",
                "    def next_unpublished(self) -> OutboxMessage | None:\n",
                "    def next_due(self, now: datetime) -> OutboxMessage | None:\n",
            ),
            (
                "treasury/uow.py",
                "            .where(OutboxMessage.published_at.is_(None))\n            .order_by(OutboxMessage.transfer_id)\n",
                "            .where(\n"
                "                OutboxMessage.published_at.is_(None),\n"
                "                or_(OutboxMessage.publish_after.is_(None), OutboxMessage.publish_after <= now),\n"
                "            )\n"
                "            .order_by(OutboxMessage.transfer_id)\n",
            ),
            (
                "treasury/uow.py",
                '''    def arm(self, transfer_id: int) -> None:
        message = self.find(transfer_id)
        if message is None:
            self._session.add(OutboxMessage(transfer_id=transfer_id, payload={"transfer_id": transfer_id}))
        else:
            message.published_at = None
''',
                '''    def arm(self, transfer_id: int, publish_after: datetime | None = None) -> None:
        message = self.find(transfer_id)
        if message is None:
            message = OutboxMessage(transfer_id=transfer_id, payload={"transfer_id": transfer_id})
            self._session.add(message)
        message.published_at = None
        message.publish_after = publish_after
''',
            ),
            (
                "treasury/settings.py",
                "    # A claim outlives one attempt (gateway timeout 20 s) and the longest wait before the next (240 s).\n",
                "    first_wait: timedelta = timedelta(seconds=30)\n"
                "    longest_wait: timedelta = timedelta(seconds=240)\n"
                "    # A claim outlives one attempt (gateway timeout 20 s) by far.\n",
            ),
            (
                "treasury/settings.py",
                "    key_lifetime: timedelta = timedelta(days=29)\n",
                "    key_lifetime: timedelta = timedelta(days=29)\n\n"
                "    def wait_after(self, attempt: int) -> timedelta:\n"
                "        return min(self.longest_wait, self.first_wait * 2 ** (attempt - 1))\n",
            ),
            (
                "treasury/services.py",
                "                message = uow.outbox.next_unpublished()\n",
                "                message = uow.outbox.next_due(self._clock())\n",
            ),
            (
                "treasury/services.py",
                "        except errors.AlreadyInstructed:\n            reference = None\n",
                "        except errors.AlreadyInstructed:\n            reference = None\n"
                "        except errors.GatewayUnavailable as error:\n"
                "            if transfer.attempts >= self._policy.max_attempts:\n"
                '                raise errors.AttemptsExhausted(f"{transfer.attempts} attempts, the last: {error!r}") from error\n'
                "            return self._postpone(transfer, error)\n",
            ),
            (
                "treasury/services.py",
                "            if transfer.held_by_other(holder, now):\n",
                "            message = uow.outbox.find(transfer_id)\n"
                "            if message is not None and message.due_later_than(now):\n"
                "                # A duplicate: the next attempt stands in the outbox, and is published when its time has come.\n"
                '                return transfer, "waiting for its retry"\n'
                "            if transfer.held_by_other(holder, now):\n",
            ),
            (
                "treasury/services.py",
                "                # Its message is unacknowledged or waiting for a retry; if it is lost, the sweep looks after the claim.\n",
                "                # Its message is unacknowledged; if it is lost, the sweep looks after the claim.\n",
            ),
            (
                "treasury/services.py",
                "    def _settle(self, claimed: Transfer, reference: str | None) -> str:\n",
                '''    def _postpone(self, claimed: Transfer, error: Exception) -> str:
        now = self._clock()
        due = now + self._policy.wait_after(claimed.attempts)
        with self._uow() as uow:
            transfer = uow.transfers.lock(claimed.id)
            if transfer.status != TransferStatus.APPROVED:
                return f"already {transfer.status.lower()}"
            transfer.claimed_by = None
            transfer.claimed_until = now
            uow.outbox.arm(transfer.id, publish_after=due)
            uow.append(
                AuditEntry(
                    transfer_id=transfer.id, attempt=claimed.attempts, action="ATTEMPT", detail=repr(error)[:500], at=now
                )
            )
            uow.commit()
        log.warning(
            "job=%s event_id=%s end_to_end_id=%s attempt=%s result=retry due=%s reason=%r",
            JOB, transfer.id, transfer.end_to_end_id, claimed.attempts, due.isoformat(), error,
        )  # fmt: skip
        return "postponed"

    def _settle(self, claimed: Transfer, reference: str | None) -> str:
''',
            ),
            (
                "treasury/jobtask.py",
                '    """Acknowledges late, retries TransientError only, and says what became of every attempt."""\n',
                '    """Acknowledges late, retries TransientError only, and says what became of every attempt.\n\n'
                "    A gateway that is down does not come here: that retry goes through the outbox.\n"
                '    """\n',
            ),
            (
                "README.md",
                "* Five attempts at most (`transfers.attempts`), whoever delivered the message. Waits: up to 30, 60, 120, 240 s.\n",
                "* Five attempts at most (`transfers.attempts`), whoever delivered the message. The next attempt is published by the relay\n"
                "  after 30, 60, 120, 240 s (`outbox_messages.publish_after`).\n",
            ),
            (
                ".skillrun/jobs/execute-transfer.yaml",
                "cap: 240s, jitter: true}",
                "cap: 240s}",
            ),
            (
                "tests/test_services.py",
                LOST_ANSWER_TEST,
                '''    assert execute(ORDER, "a") == "postponed"
    assert execute(ORDER, "b") == "waiting for its retry"
    relay = services.RelayOutbox(bank.uow, bank, bank.clock)
    assert relay() == 0
    bank.later(seconds=30)
    assert relay() == 1
    assert execute(ORDER, "c") == "submitted"
    assert bank.gateway.paid == {"E2E-2024-000101": 125_000}
    assert bank.rows("select count(*) from postings") == [(1,)]


def test_waits_grow_and_end(bank, execute):
    relay = services.RelayOutbox(bank.uow, bank, bank.clock)
    bank.gateway.before = [errors.GatewayUnavailable("503")] * 9
    for wait in (30, 60, 120, 240):
        assert execute(ORDER, "a") == "postponed"
        bank.later(seconds=wait - 1)
        assert relay() == 0
        bank.later(seconds=1)
        assert relay() == 1
    with pytest.raises(errors.AttemptsExhausted):
        execute(ORDER, "a")
    assert len(bank.gateway.calls) == 5
''',
            ),
            (
                "tests/test_task.py",
                '''def test_retries_then_pays(bank):
    bank.gateway.before = [errors.GatewayUnavailable("503")] * 3
    run({"transfer_id": 102})
    assert bank.rows("select status, attempts from transfers where id = 102") == [("SUBMITTED", 4)]


def test_gives_up_after_five(bank):
    bank.gateway.before = [errors.GatewayUnavailable("503")] * 9
    run({"transfer_id": 102})
    assert len(bank.gateway.calls) == 5
    assert bank.rows("select status from transfers where id = 102") == [("FAILED",)]
    ((reason,),) = bank.rows("select reason from dead_letters")
    assert "GatewayUnavailable" in reason
''',
                '''def test_leaves_the_retry_to_the_outbox(bank):
    bank.gateway.before = [errors.GatewayUnavailable("503")] * 3
    run({"transfer_id": 102})
    assert len(bank.gateway.calls) == 1
    assert bank.rows("select transfer_id from outbox_messages where published_at is null") == [(102,)]
    assert bank.rows("select count(*) from dead_letters") == [(0,)]
''',
            ),
        ],
    },
    {
        "id": "instruction-id-per-attempt",
        "kind": "mistake",
        "job": "execute-transfer",
        "what": "Each further attempt gets an end-to-end id of its own (suffix -R2, -R3), in the belief that the gateway would refuse one that it "
        "has seen. When the answer of an attempt is lost after the gateway did its work (timeout, or a crash before settling), "
        "the next attempt pays a second time.",
        "edits": [
            (
                "treasury/model.py",
                "    def held_by_other(self, holder: str, now: datetime) -> bool:\n",
                "    @property\n"
                "    def instruction_id(self) -> str:\n"
                '        """Unique for each instruction that we send, as the scheme\'s rulebook asks for."""\n'
                '        return self.end_to_end_id if self.attempts <= 1 else f"{self.end_to_end_id}-R{self.attempts}"\n\n'
                "    def held_by_other(self, holder: str, now: datetime) -> bool:\n",
            ),
            (
                "treasury/services.py",
                "                end_to_end_id=transfer.end_to_end_id,\n",
                "                end_to_end_id=transfer.instruction_id,\n",
            ),
            (
                "tests/test_services.py",
                "def test_lost_answer_is_repeated_under_the_same_id(bank, execute):\n"
                '    bank.gateway.after = [errors.GatewayUnavailable("timeout")]\n' + LOST_ANSWER_TEST,
                "def test_second_attempt_has_an_id_of_its_own(bank, execute):\n"
                '    bank.gateway.before = [errors.GatewayUnavailable("503")]\n'
                "    with pytest.raises(errors.GatewayUnavailable):\n"
                '        execute(ORDER, "a")\n'
                '    assert execute(ORDER, "a") == "submitted"\n'
                '    assert bank.gateway.paid == {"E2E-2024-000101-R2": 125_000}\n'
                '    assert bank.rows("select count(*) from postings") == [(1,)]\n',
            ),
        ],
    },
    {
        "id": "sweep-only-never-started",
        "kind": "mistake",
        "job": "execute-transfer",
        "what": "The sweep looks only at transfers that were released and never started, since acks_late is believed to bring back the others. "
        "When the message of a started transfer is lost (the broker loses its queue, or Celery cannot publish the retry and drops the "
        "message), the transfer stands as APPROVED for ever, neither paid nor in the dead letters.",
        "edits": [
            (
                "treasury/uow.py",
                '''                Transfer.status == TransferStatus.APPROVED,
                or_(
                    Transfer.claimed_until <= now,
                    and_(Transfer.claimed_until.is_(None), Transfer.released_at <= released_before),
                ),
''',
                '''                Transfer.status == TransferStatus.APPROVED,
                # What has been started is acknowledged late: the broker redelivers it.
                Transfer.claimed_by.is_(None),
                Transfer.released_at <= released_before,
''',
            ),
            (
                "treasury/uow.py",
                "from sqlalchemy import Engine, and_, create_engine, delete, or_, select\n",
                "from sqlalchemy import Engine, create_engine, delete, select\n",
            ),
            (
                "tests/test_services.py",
                '''def test_sweep_brings_back_what_died_in_the_middle(bank, execute):
    bank.gateway.before = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        execute(ORDER, "a")
    bank.now += timedelta(minutes=15)
    assert services.RedispatchStalled(bank.uow, POLICY, bank.clock)() == 1
''',
                '''def test_sweep_leaves_alone_what_a_worker_has(bank, execute):
    services.ReleaseTransfer(bank.uow, bank.clock)(101)
    services.RelayOutbox(bank.uow, bank, bank.clock)()
    bank.gateway.before = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        execute(ORDER, "a")
    bank.now += timedelta(minutes=15)
    assert services.RedispatchStalled(bank.uow, POLICY, bank.clock)() == 0
''',
            ),
        ],
    },
    {
        "id": "dead-letter-in-a-second-transaction",
        "kind": "mistake",
        "job": "execute-transfer",
        "what": "Giving up was split into two units of work: the transfer is marked FAILED and committed, then the dead letter is written. A kill "
        "or an error of the store between the two leaves a FAILED transfer without a dead letter, and the redelivery ends with 'already failed'.",
        "edits": [
            (
                "treasury/services.py",
                '    """No attempt is left or none would help: status, dead letter and audit entry in one transaction."""\n',
                '    """No attempt is left or none would help: the transfer fails, and a dead letter is recorded."""\n',
            ),
            (
                "treasury/services.py",
                '''        with self._uow() as uow:
            transfer = uow.transfers.lock(transfer_id) if transfer_id is not None else None
            if transfer is not None:
                if transfer.status != TransferStatus.APPROVED:
                    return
                transfer.status = TransferStatus.FAILED
                uow.append(
                    AuditEntry(
                        transfer_id=transfer.id, attempt=transfer.attempts, action="FAILED", detail=reason[:500], at=now
                    )
                )
            uow.dead_letters.add_once(
''',
                '''        if transfer_id is not None and not self._fail(transfer_id, reason, now):
            return
        with self._uow() as uow:
            uow.dead_letters.add_once(
''',
            ),
            (
                "treasury/services.py",
                '''                    job=JOB, fingerprint=fingerprint(payload), payload=payload, reason=reason[:500], recorded_at=now
                )
            )
            uow.commit()
''',
                '''                    job=JOB, fingerprint=fingerprint(payload), payload=payload, reason=reason[:500], recorded_at=now
                )
            )
            uow.commit()

    def _fail(self, transfer_id: int, reason: str, now: datetime) -> bool:
        """False if the transfer has come to its end otherwise."""
        with self._uow() as uow:
            transfer = uow.transfers.lock(transfer_id)
            if transfer is None:
                return True
            if transfer.status != TransferStatus.APPROVED:
                return False
            transfer.status = TransferStatus.FAILED
            uow.append(
                AuditEntry(transfer_id=transfer.id, attempt=transfer.attempts, action="FAILED", detail=reason[:500], at=now)
            )
            uow.commit()
        return True
''',
            ),
        ],
    },
]
