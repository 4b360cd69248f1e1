"""What planners do with schedules, and what the clock does after them."""

import time

from loguru import logger
from sqlalchemy import select, update

from . import outbox
from .schedules import OPEN, Ref
from .tables import engine, schedules

# longer than any wait between two attempts (five minutes, if the operator says so) and an attempt
STALLED_AFTER = 8 * 60


class NotPossible(Exception):
    pass


def approve(site: str, day: str, revision: int) -> None:
    """From here on the schedule goes to the operator; older revisions that wait do not."""
    ref = Ref(site=site, day=day, revision=revision)
    with engine.begin() as con:
        if not con.execute(
            update(schedules)
            .where(ref.row, schedules.c.status.in_(("draft", "ready")))
            .values(status="ready", touched_at=time.time())
        ).rowcount:
            raise NotPossible(f"{ref.name} cannot be approved")
        con.execute(
            update(schedules)
            .where(schedules.c.site == site, schedules.c.day == day, schedules.c.revision < revision)
            .where(schedules.c.status.in_(("draft", "ready")))
            .values(status="superseded")
        )
        outbox.add(con, "submit_schedule", **ref.model_dump())
    outbox.flush()


def requeue_stalled() -> None:
    """Every ten minutes: what is open and has not been touched has lost its message."""
    now = time.time()
    with engine.begin() as con:
        stalled = con.execute(
            select(schedules).where(schedules.c.status.in_(OPEN), schedules.c.touched_at < now - STALLED_AFTER)
        ).all()
        for row in stalled:
            ref = Ref(site=row.site, day=row.day, revision=row.revision)
            logger.bind(job="submit-schedule", **ref.model_dump()).warning("{} stalled, published again", ref.name)
            con.execute(update(schedules).where(ref.row).values(touched_at=now))
            outbox.add(con, "submit_schedule", **ref.model_dump())
    outbox.flush()
