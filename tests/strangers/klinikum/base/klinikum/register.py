"""The register of transmissions. Each function is one transaction."""
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.sqlite import insert

from .database import transaction
from .tables import AuditEntry, Consent, DeadLetter, Patient, Result, Transmission, utcnow


class ConsentWithdrawn(Exception):
    pass


@dataclass(frozen=True)
class Work:
    result_id: int
    control_id: str
    status: str
    starts: int
    patient_id: int
    patient: str
    born: str
    practice: str
    code: str
    value: str


def _change(result_id: int, *conditions):
    return (
        update(Transmission)
        .where(Transmission.result_id == result_id, *conditions)
        .execution_options(synchronize_session=False)
    )


def queue(result_id: int) -> str | None:
    """Write down that a result is to be transmitted. Its status, None where there is no such result."""
    with transaction() as session:
        if session.get(Result, result_id) is None:
            return None
        session.execute(
            insert(Transmission)
            .values(result_id=result_id, control_id=f"KLI-{result_id:08d}")
            .on_conflict_do_nothing()
        )
        return session.scalar(select(Transmission.status).where(Transmission.result_id == result_id))


def begin(result_id: int) -> Work | None:
    """Count a start of what is queued."""
    with transaction() as session:
        session.execute(
            _change(result_id, Transmission.status == "queued")
            .values(starts=Transmission.starts + 1, touched_at=utcnow())
        )
        row = session.execute(
            select(Transmission.result_id, Transmission.control_id, Transmission.status, Transmission.starts,
                   Patient.id, Patient.name, Patient.born, Result.practice, Result.code, Result.value)
            .join(Result, Result.id == Transmission.result_id)
            .join(Patient, Patient.id == Result.patient_id)
            .where(Transmission.result_id == result_id)
        ).one_or_none()
        return Work(*row) if row else None


def clear_for_sending(work: Work) -> None:
    """The last thing before the message leaves: is it allowed? From here on it may have left."""
    with transaction() as session:
        state = session.scalar(select(Consent.state).where(Consent.patient_id == work.patient_id))
        if state != "given":
            raise ConsentWithdrawn
        session.execute(_change(work.result_id).values(posted=True))


def sent(work: Work, acknowledgement: str) -> bool:
    """False where another delivery of the message has written it down."""
    with transaction() as session:
        first = session.execute(
            _change(work.result_id, Transmission.status != "sent")
            .values(status="sent", acknowledgement=acknowledgement, touched_at=utcnow())
        ).rowcount == 1
        if first:
            _audit(session, work, "sent")
            session.execute(delete(DeadLetter).where(DeadLetter.key == str(work.result_id)))
        return first


def withheld(work: Work, delivered_before: bool | None = None) -> str | None:
    """The event that the audit has of it; None where the transmission had come to an end."""
    with transaction() as session:
        posted = session.execute(
            _change(work.result_id, Transmission.status == "queued")
            .values(status="withheld", touched_at=utcnow())
            .returning(Transmission.posted)
        ).scalar_one_or_none()
        if posted is None:
            return None
        in_doubt = posted if delivered_before is None else delivered_before
        event = "withheld-unconfirmed" if in_doubt else "withheld"
        _audit(session, work, event)
        return event


def bury(result_id: int, message_id: str | None, reason: str) -> bool:
    """False where the transmission had come to an end."""
    with transaction() as session:
        if not session.execute(
            _change(result_id, Transmission.status == "queued").values(status="dead", touched_at=utcnow())
        ).rowcount:
            return False
        _lay_aside(session, str(result_id), message_id, reason)
        return True


def lay_aside(key: str, message_id: str | None, reason: str) -> None:
    """A message that is about no transmission."""
    with transaction() as session:
        _lay_aside(session, key, message_id, reason)


def standing_still(since: datetime) -> list[tuple[int, int]]:
    with transaction() as session:
        rows = session.execute(
            select(Transmission.result_id, Transmission.starts)
            .where(Transmission.status == "queued", Transmission.touched_at < since)
            .order_by(Transmission.result_id)
        )
        return [tuple(row) for row in rows]


def touch(result_id: int) -> None:
    with transaction() as session:
        session.execute(_change(result_id).values(touched_at=utcnow()))


def _audit(session, work: Work, event: str) -> None:
    session.execute(
        insert(AuditEntry)
        .values(result_id=work.result_id, control_id=work.control_id, event=event)
        .on_conflict_do_nothing()
    )


def _lay_aside(session, key: str, message_id: str | None, reason: str) -> None:
    session.execute(insert(DeadLetter).values(key=key, message_id=message_id, reason=reason).on_conflict_do_nothing())
