"""What the editors do: send an issue to everybody, or once more to one reader."""

from arq import create_pool
from sqlalchemy import select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from .models import Delivery, Issue, Subscriber, now
from .settings import settings
from .store import unit


class NoSuchLetter(LookupError):
    """There is no such issue, or no such reader."""


async def send_issue(issue_id: int) -> int:
    """Everybody who is subscribed now gets the issue."""
    await unit(_open_all, issue_id)
    return await publish_pending()


async def send_to(issue_id: int, subscriber_id: int) -> bool:
    """One reader gets the issue; False if it was sent before."""
    if not await unit(_open, issue_id, subscriber_id):
        return False
    await _publish([(issue_id, subscriber_id)])
    return True


async def publish_pending() -> int:
    """Publishes the letters that nobody has put on the queue; the worker's cron runs it, too."""
    letters = await unit(_unpublished)
    await _publish(letters)
    return len(letters)


async def _publish(letters: list[tuple[int, int]]) -> None:
    if not letters:
        return
    pool = await create_pool(settings().redis)
    try:
        for issue_id, subscriber_id in letters:
            await pool.enqueue_job(
                "deliver_letter",
                issue_id=issue_id,
                subscriber_id=subscriber_id,
                _job_id=f"letter-{issue_id}-{subscriber_id}",
            )
            await unit(_published, issue_id, subscriber_id)
    finally:
        await pool.aclose()


def _open_all(session: Session, issue_id: int) -> None:
    if session.get(Issue, issue_id) is None:
        raise NoSuchLetter(issue_id)
    for reader in session.scalars(select(Subscriber.id).where(Subscriber.active)).all():
        session.execute(insert(Delivery).values(issue_id=issue_id, subscriber_id=reader).on_conflict_do_nothing())


def _open(session: Session, issue_id: int, subscriber_id: int) -> bool:
    if session.get(Issue, issue_id) is None or session.get(Subscriber, subscriber_id) is None:
        raise NoSuchLetter(issue_id, subscriber_id)
    session.execute(
        insert(Delivery).values(issue_id=issue_id, subscriber_id=subscriber_id).on_conflict_do_nothing()
    )
    this = (Delivery.issue_id == issue_id, Delivery.subscriber_id == subscriber_id)
    session.execute(update(Delivery).where(*this, Delivery.status == "failed").values(status="pending", queued_at=None))
    return session.scalar(select(Delivery.status).where(*this)) == "pending"


def _unpublished(session: Session) -> list[tuple[int, int]]:
    rows = session.execute(
        select(Delivery.issue_id, Delivery.subscriber_id)
        .where(Delivery.status == "pending", Delivery.queued_at.is_(None))
        .order_by(Delivery.issue_id, Delivery.subscriber_id)
    )
    return [tuple(row) for row in rows]


def _published(session: Session, issue_id: int, subscriber_id: int) -> None:
    session.execute(
        update(Delivery)
        .where(Delivery.issue_id == issue_id, Delivery.subscriber_id == subscriber_id)
        .values(queued_at=now())
    )
