ATTEMPTS_REPOSITORY = '''"""All reads and writes of renewals. Every method is one transaction.

The right to make an attempt is a row in renewal_attempts: of two workers that want the same number, one gets it.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, exists, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError

from renewals import config
from renewals.errors import UnknownRenewal
from renewals.tables import dead_renewals, premium_postings, renewal_attempts, renewals


@dataclass(frozen=True)
class Claim:
    """The right to make one attempt."""

    renewal_id: int
    policy_no: str
    period_start: str
    premium_cents: int
    attempt: int

    @property
    def key(self) -> str:
        return f"renewal-{self.policy_no}-{self.period_start}"


class RenewalRepository:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def due(self, now: int) -> list[int]:
        with self._engine.connect() as connection:
            return list(
                connection.scalars(
                    select(renewals.c.id)
                    .where(renewals.c.status == "due", renewals.c.next_attempt_at <= now)
                    .order_by(renewals.c.next_attempt_at)
                    .limit(config.BATCH)
                )
            )

    def claim(self, renewal_id: int, now: int) -> Claim | str:
        """The claim, or why there is none."""
        of_row = renewal_attempts.c.renewal_id == renewals.c.id
        # One statement, so that the row and its attempts are of the same moment.
        query = select(
            renewals,
            select(func.count()).where(of_row).scalar_subquery().label("tried"),
            select(func.min(renewal_attempts.c.started_at)).where(of_row).scalar_subquery().label("first_started_at"),
        ).where(renewals.c.id == renewal_id)
        try:
            with self._engine.begin() as connection:
                row = connection.execute(query).one_or_none()
                if row is None:
                    raise UnknownRenewal(f"renewal {renewal_id}")
                if row.status != "due":
                    return f"already {row.status}"
                if row.next_attempt_at > now:
                    return "not due, or held by another worker"
                claim = Claim(row.id, row.policy_no, row.period_start, row.premium_cents, row.tried + 1)
                if row.tried >= config.MAX_ATTEMPTS:
                    return self._bury(connection, claim, row.tried, "the worker died in the last attempt", now)
                if row.tried and now - row.first_started_at >= config.KEY_LIFETIME:
                    # The carrier has forgotten the key: if an earlier attempt went through, another would renew twice.
                    return self._bury(connection, claim, row.tried, f"outcome unknown, last error: {row.last_error}", now)
                connection.execute(
                    insert(renewal_attempts).values(renewal_id=renewal_id, attempt=claim.attempt, started_at=now)
                )
                connection.execute(
                    update(renewals).where(renewals.c.id == renewal_id).values(next_attempt_at=now + config.LEASE)
                )
                return claim
        except IntegrityError:
            return "another worker makes this attempt"

    def complete(self, claim: Claim, confirmation: str, now: int) -> bool:
        """The carrier has renewed: that holds whatever another worker wrote meanwhile. Posts the premium once."""
        with self._engine.begin() as connection:
            changed = connection.execute(
                update(renewals)
                .where(renewals.c.id == claim.renewal_id, renewals.c.status != "done")
                .values(status="done", confirmation=confirmation, last_error=None)
            )
            self._end(connection, claim, "renewed", now)
            if not changed.rowcount:
                return False
            connection.execute(
                insert(premium_postings).values(
                    policy_no=claim.policy_no,
                    period_start=claim.period_start,
                    premium_cents=claim.premium_cents,
                    posted_at=now,
                )
            )
            connection.execute(delete(dead_renewals).where(dead_renewals.c.renewal_id == claim.renewal_id))
            return True

    def postpone(self, claim: Claim, reason: str, until: int) -> bool:
        """False if the row has gone on without us."""
        with self._engine.begin() as connection:
            changed = connection.execute(
                update(renewals)
                .where(renewals.c.id == claim.renewal_id, renewals.c.status == "due", ~_later_than(claim))
                .values(next_attempt_at=until, last_error=reason[:500])
            )
            self._end(connection, claim, reason, until)
            return bool(changed.rowcount)

    def bury(self, claim: Claim, reason: str, now: int) -> str:
        with self._engine.begin() as connection:
            outcome = self._bury(connection, claim, claim.attempt, reason, now)
            self._end(connection, claim, reason, now)
            return outcome

    def _bury(self, connection: Connection, claim: Claim, attempts: int, reason: str, now: int) -> str:
        changed = connection.execute(
            update(renewals)
            .where(renewals.c.id == claim.renewal_id, renewals.c.status == "due", ~_later_than(claim))
            .values(status="dead", last_error=reason[:500])
        )
        if not changed.rowcount:
            return "overtaken by another worker"
        connection.execute(
            upsert(dead_renewals)
            .values(
                renewal_id=claim.renewal_id,
                policy_no=claim.policy_no,
                attempts=attempts,
                reason=reason[:500],
                died_at=now,
            )
            .on_conflict_do_nothing()
        )
        return f"dead: {reason}"

    @staticmethod
    def _end(connection: Connection, claim: Claim, outcome: str, at: int) -> None:
        connection.execute(
            update(renewal_attempts)
            .where(renewal_attempts.c.renewal_id == claim.renewal_id, renewal_attempts.c.attempt == claim.attempt)
            .values(outcome=outcome[:500])
        )


def _later_than(claim: Claim):
    return exists().where(
        renewal_attempts.c.renewal_id == claim.renewal_id, renewal_attempts.c.attempt > claim.attempt
    )
'''.replace("self._end(connection, claim, \"renewed\", now)", "self._end(connection, claim, \"renewed\")").replace(
    "self._end(connection, claim, reason, until)", "self._end(connection, claim, reason)"
).replace("self._end(connection, claim, reason, now)", "self._end(connection, claim, reason)").replace(
    "claim: Claim, outcome: str, at: int) -> None", "claim: Claim, outcome: str) -> None"
)

VARIANTS = [
    {
        "id": "attempt-rows",
        "kind": "correct",
        "job": "renew-policy",
        "what": "Attempts are rows of a table of their own, unique by renewal and number: inserting one is the claim. No status running, no lease "
        "and no version column; the claim moves next_attempt_at behind the time that one attempt can take.",
        "edits": [
            ("renewals/repository.py", "", ATTEMPTS_REPOSITORY),
            (
                "renewals/tables.py",
                '    Column("attempts", Integer, nullable=False, default=0),\n'
                '    Column("first_attempt_at", Integer),  # all times: seconds since the epoch\n'
                '    Column("next_attempt_at", Integer, nullable=False),\n'
                '    Column("lease_until", Integer),\n',
                '    Column("next_attempt_at", Integer, nullable=False),  # all times: seconds since the epoch\n',
            ),
            (
                "renewals/tables.py",
                '    Column("confirmation", String(50)),\n    Column("version", Integer, nullable=False, default=0),\n',
                '    Column("confirmation", String(50)),\n',
            ),
            (
                "renewals/tables.py",
                "status in ('due', 'running', 'done', 'dead')",
                "status in ('due', 'done', 'dead')",
            ),
            (
                "renewals/tables.py",
                "premium_postings = Table(\n",
                'renewal_attempts = Table(\n    "renewal_attempts",\n    metadata,\n'
                '    Column("renewal_id", Integer, primary_key=True, autoincrement=False),\n'
                '    Column("attempt", Integer, primary_key=True, autoincrement=False),\n'
                '    Column("started_at", Integer, nullable=False),\n'
                '    Column("outcome", String(500)),\n)\n\n'
                "premium_postings = Table(\n",
            ),
            (
                "README.md",
                "| due | to be tried at `next_attempt_at` |\n"
                "| running | a worker is at it until `lease_until`; after that it has died, and the row is tried again |\n",
                "| due | to be tried at `next_attempt_at`; an attempt that begins moves that on by five minutes, and adds a row to `renewal_attempts` |\n",
            ),
            (
                ".skillrun/jobs/renew-policy.yaml",
                "  dedupe: {store: table renewals}\n",
                "  dedupe: {store: table renewals and the primary key of renewal_attempts}\n",
            ),
            (
                ".skillrun/jobs/renew-policy.yaml",
                '  dead_letters: "select count(*) from dead_renewals"\n',
                '  not_state: [renewal_attempts]\n  dead_letters: "select count(*) from dead_renewals"\n',
            ),
        ],
    },
    {
        "id": "posting-after-the-status",
        "kind": "mistake",
        "job": "renew-policy",
        "what": "complete() commits the status done first, to let go of the row early, and posts the premium in a second transaction. A worker that is "
        "killed (or whose store fails) between the two leaves a renewed policy whose premium is never posted: the row is done, no poll sees it again.",
        "edits": [
            (
                "renewals/repository.py",
                '''            if not changed.rowcount:
                return False
            connection.execute(
                insert(premium_postings).values(
                    policy_no=claim.policy_no,
                    period_start=claim.period_start,
                    premium_cents=claim.premium_cents,
                    posted_at=now,
                )
            )
            connection.execute(delete(dead_renewals).where(dead_renewals.c.renewal_id == claim.renewal_id))
            return True
''',
                '''            connection.execute(delete(dead_renewals).where(dead_renewals.c.renewal_id == claim.renewal_id))
        if not changed.rowcount:
            return False
        self.post_premium(claim, now)
        return True

    def post_premium(self, claim: Claim, now: int) -> None:
        with self._engine.begin() as connection:
            connection.execute(
                insert(premium_postings).values(
                    policy_no=claim.policy_no,
                    period_start=claim.period_start,
                    premium_cents=claim.premium_cents,
                    posted_at=now,
                )
            )
''',
            ),
            (
                "README.md",
                "the premium stands in `premium_postings` (written in the same transaction) |",
                "the premium stands in `premium_postings` |",
            ),
        ],
    },
    {
        "id": "attempts-counted-when-they-fail",
        "kind": "mistake",
        "job": "renew-policy",
        "what": "attempts is raised when an attempt has failed, in postpone() and bury(), and not when it begins. A renewal that kills its worker each time "
        "(out of memory, a crash in the TLS library) is taken again after every lease: hundreds of attempts, and no dead row before the key has run out after 70 hours.",
        "edits": [
            (
                "renewals/repository.py",
                '                    status="running",\n                    attempts=row.attempts + 1,\n',
                '                    status="running",\n',
            ),
            (
                "renewals/repository.py",
                '                    status="due",\n                    next_attempt_at=until,\n',
                '                    status="due",\n                    attempts=claim.attempt,\n                    next_attempt_at=until,\n',
            ),
            (
                "renewals/repository.py",
                '.values(status="dead", lease_until=None,',
                '.values(status="dead", attempts=attempts, lease_until=None,',
            ),
            (
                "README.md",
                "**Attempts.** Six, counted when they begin, so that one which kills its worker counts too. Waits:",
                "**Attempts.** Six. Waits:",
            ),
            (
                "tests/test_job.py",
                '''def test_attempts_that_kill_the_worker_count(world):
    world.carrier.before = [KeyboardInterrupt()] * 99
    for _ in range(20):
        try:
            renew_policy(1)
        except KeyboardInterrupt:
            pass
        world.time += config.LEASE
    assert len(world.carrier.keys) == config.MAX_ATTEMPTS
    assert world.rows("select renewal_id from dead_renewals") == [(1,)]
''',
                '''def test_a_worker_that_dies_leaves_the_row_to_the_next(world):
    world.carrier.before = [KeyboardInterrupt()]
    try:
        renew_policy(1)
    except KeyboardInterrupt:
        pass
    world.time += config.LEASE
    assert renew_policy(1) == "renewed"
''',
            ),
        ],
    },
    {
        "id": "key-of-the-day",
        "kind": "mistake",
        "job": "renew-policy",
        "what": "The idempotency key holds the day of the attempt in place of the period, so that tomorrow's attempt is not answered with today's error. When the "
        "answer of an attempt before midnight is lost and the next attempt falls on the next day (the waits are hours; or the worker was away "
        "overnight), the carrier renews a second time.",
        "edits": [
            (
                "renewals/repository.py",
                "from dataclasses import dataclass\n",
                "from dataclasses import dataclass\nfrom datetime import UTC, datetime\n",
            ),
            (
                "renewals/repository.py",
                '''    version: int

    @property
    def key(self) -> str:
        return f"renewal-{self.policy_no}-{self.period_start}"
''',
                '''    version: int
    claimed_at: int

    @property
    def key(self) -> str:
        """The carrier repeats its answer, errors as well, for a key that it knows: each day has one of its own."""
        return f"renewal-{self.policy_no}-{datetime.fromtimestamp(self.claimed_at, UTC):%Y%m%d}"
''',
            ),
            (
                "renewals/repository.py",
                "            return Claim(row.id, row.policy_no, row.period_start, row.premium_cents, row.attempts + 1, row.version + 1)\n",
                "            return Claim(\n"
                "                row.id, row.policy_no, row.period_start, row.premium_cents, row.attempts + 1, row.version + 1, now\n"
                "            )\n",
            ),
            (
                "README.md",
                "**Once.** Policy and period make the",
                "**Once.** Policy and day make the",
            ),
        ],
    },
]
