"""What becomes of a schedule, step by step; each step is one transaction."""

import json
import time

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError
from sqlalchemy import and_, select, update

from .tables import engine, schedules

OPEN = ("ready", "submitting")
MAX_STARTS = 9


class GiveUp(Exception):
    """Will be the same next time."""


class BadMessage(GiveUp):
    pass


class NoSuchSchedule(GiveUp):
    pass


class Refused(GiveUp):
    """The store or the operator does not take it."""


class Ref(BaseModel):
    """Which schedule; what a message says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    site: StrictStr = Field(min_length=1, max_length=40)
    day: StrictStr = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    revision: StrictInt = Field(ge=1)

    @property
    def name(self) -> str:
        return f"{self.site}/{self.day}/{self.revision}"

    @property
    def row(self):
        return and_(
            schedules.c.site == self.site, schedules.c.day == self.day, schedules.c.revision == self.revision
        )

    @classmethod
    def of(cls, message: dict) -> "Ref":
        try:
            return cls.model_validate(message)
        except ValidationError as error:
            raise BadMessage(str(error)) from None


def begin(ref: Ref):
    """The row of an open schedule, on which we start now; None if there is nothing to do."""
    with engine.begin() as con:
        taken = con.execute(
            update(schedules)
            .where(ref.row, schedules.c.status.in_(OPEN))
            .values(status="submitting", starts=schedules.c.starts + 1, touched_at=time.time())
        ).rowcount
        row = con.execute(select(schedules).where(ref.row)).first()
        if row is None:
            raise NoSuchSchedule(ref.name)
        if not taken:
            return None
        if row.starts > MAX_STARTS:
            raise GiveUp(f"{ref.name}: started {MAX_STARTS} times without an end")
        newer = select(schedules.c.revision).where(
            schedules.c.site == ref.site,
            schedules.c.day == ref.day,
            schedules.c.revision > ref.revision,
            schedules.c.status != "draft",
        )
        if con.execute(newer).first():
            con.execute(update(schedules).where(ref.row).values(status="superseded"))
            return None
        return row


def document(row) -> bytes:
    content = {"site": row.site, "day": row.day, "revision": row.revision, "mwh": json.loads(row.mwh)}
    return json.dumps(content, sort_keys=True).encode()


def accept(ref: Ref, receipt: str) -> None:
    """The operator has it, whatever else has become of the row meanwhile."""
    with engine.begin() as con:
        con.execute(
            update(schedules)
            .where(ref.row, schedules.c.status != "accepted")
            .values(status="accepted", receipt=receipt, touched_at=time.time())
        )


def close_failed(con, message: dict) -> bool:
    try:
        ref = Ref.of(message)
    except BadMessage:
        return True
    closed = con.execute(
        update(schedules).where(ref.row, schedules.c.status.in_(OPEN)).values(status="failed", touched_at=time.time())
    ).rowcount
    return bool(closed) or con.execute(select(schedules.c.status).where(ref.row)).first() is None
