"""All reads and writes of renewals. Every method is one transaction; writers are told apart by the version column."""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, and_, delete, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from renewals import config
from renewals.errors import UnknownRenewal
from renewals.tables import dead_renewals, premium_postings, renewals


@dataclass(frozen=True)
class Claim:
    """The right to make one attempt."""

    renewal_id: int
    policy_no: str
    period_start: str
    premium_cents: int
    attempt: int
    version: int

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
                    select(renewals.c.id).where(_runnable(now)).order_by(renewals.c.next_attempt_at).limit(config.BATCH)
                )
            )

    def claim(self, renewal_id: int, now: int) -> Claim | str:
        """The claim, or why there is none."""
        with self._engine.begin() as connection:
            row = connection.execute(select(renewals).where(renewals.c.id == renewal_id)).one_or_none()
            if row is None:
                raise UnknownRenewal(f"renewal {renewal_id}")
            if row.status in ("done", "dead"):
                return f"already {row.status}"
            if row.attempts >= config.MAX_ATTEMPTS and row.status == "running" and row.lease_until <= now:
                return self._bury(connection, row, row.attempts, "the worker died in the last attempt", now)
            if row.first_attempt_at and now - row.first_attempt_at >= config.KEY_LIFETIME:
                # The carrier has forgotten the key: if an earlier attempt went through, another would renew twice.
                if row.status == "running" and row.lease_until > now:
                    return "held by another worker"
                return self._bury(connection, row, row.attempts, f"outcome unknown, last error: {row.last_error}", now)
            claimed = connection.execute(
                update(renewals)
                .where(renewals.c.id == renewal_id, renewals.c.version == row.version, _runnable(now))
                .values(
                    status="running",
                    attempts=row.attempts + 1,
                    first_attempt_at=row.first_attempt_at or now,
                    lease_until=now + config.LEASE,
                    version=row.version + 1,
                )
            )
            if not claimed.rowcount:
                return "not due, or held by another worker"
            return Claim(row.id, row.policy_no, row.period_start, row.premium_cents, row.attempts + 1, row.version + 1)

    def complete(self, claim: Claim, confirmation: str, now: int) -> bool:
        """The carrier has renewed: that holds whatever another worker wrote meanwhile. Posts the premium once."""
        with self._engine.begin() as connection:
            changed = connection.execute(
                update(renewals)
                .where(renewals.c.id == claim.renewal_id, renewals.c.status != "done")
                .values(
                    status="done",
                    confirmation=confirmation,
                    lease_until=None,
                    last_error=None,
                    version=renewals.c.version + 1,
                )
            )
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
                .where(renewals.c.id == claim.renewal_id, renewals.c.version == claim.version)
                .values(
                    status="due",
                    next_attempt_at=until,
                    lease_until=None,
                    last_error=reason[:500],
                    version=claim.version + 1,
                )
            )
            return bool(changed.rowcount)

    def bury(self, claim: Claim, reason: str, now: int) -> str:
        with self._engine.begin() as connection:
            return self._bury(connection, claim, claim.attempt, reason, now)

    def _bury(self, connection: Connection, row, attempts: int, reason: str, now: int) -> str:
        renewal_id = row.renewal_id if isinstance(row, Claim) else row.id
        changed = connection.execute(
            update(renewals)
            .where(renewals.c.id == renewal_id, renewals.c.version == row.version)
            .values(status="dead", lease_until=None, last_error=reason[:500], version=row.version + 1)
        )
        if not changed.rowcount:
            return "overtaken by another worker"
        connection.execute(
            upsert(dead_renewals)
            .values(
                renewal_id=renewal_id, policy_no=row.policy_no, attempts=attempts, reason=reason[:500], died_at=now
            )
            .on_conflict_do_nothing()
        )
        return f"dead: {reason}"


def _runnable(now: int):
    return or_(
        and_(renewals.c.status == "due", renewals.c.next_attempt_at <= now),
        and_(renewals.c.status == "running", renewals.c.lease_until <= now),
    )
