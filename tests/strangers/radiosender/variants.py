"""Versions of base: edits are (path, old text, new text); an empty old text writes the file new."""
from pathlib import Path

_BASE = Path(__file__).parent / "base"

OK_BOOKINGS = '''"""What happens to a booking's row: single statements with conditions, no reading before."""
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.sqlite import insert

from radiosender import settings
from radiosender.db import AuditLine, Booking, DeadLetter, Session, now
from radiosender.errors import Contended, NoSuchBooking, StartedTooOften

rows = Booking.__table__


@dataclass(frozen=True)
class Wish:
    booking_id: int
    reservation_id: str
    wanted_at: str
    seconds: int


def subject_of(booking_id: int) -> str:
    return f"booking-{booking_id}"


def move(booking_id, *states, **values):
    return (
        update(rows)
        .where(rows.c.id == booking_id, rows.c.state.in_(states))
        .values(version=rows.c.version + 1, touched_at=now(), **values)
    )


async def exists(session, booking_id) -> bool:
    return await session.scalar(select(rows.c.id).where(rows.c.id == booking_id)) is not None


async def start(booking_id: int) -> Wish | None:
    async with Session.begin() as session:
        begun = await session.execute(
            move(booking_id, "requested", starts=rows.c.starts + 1).returning(
                rows.c.wanted_at, rows.c.seconds, rows.c.starts
            )
        )
        row = begun.one_or_none()
        if row is None and not await exists(session, booking_id):
            raise NoSuchBooking(f"booking {booking_id}")
    if row is None:
        return None
    if row.starts > settings.MAX_STARTS:
        raise StartedTooOften(f"{settings.MAX_STARTS} starts")
    return Wish(booking_id, f"spot-{booking_id}", row.wanted_at, row.seconds)


async def finish(booking_id: int, slot: str) -> bool:
    """Whoever gets the audit line in has booked."""
    async with Session.begin() as session:
        line = await session.execute(
            insert(AuditLine)
            .values(booking_id=booking_id, event="booked", detail=slot, at=now())
            .on_conflict_do_nothing(index_elements=["booking_id", "event"])
        )
        if not line.rowcount:
            return False
        await session.execute(move(booking_id, "requested", "failed", state="booked", slot=slot))
        await session.execute(delete(DeadLetter).where(DeadLetter.subject == subject_of(booking_id)))
        return True


async def give_up(booking_id: int, job_id: str, reason: str) -> bool:
    async with Session.begin() as session:
        failed = await session.execute(move(booking_id, "requested", state="failed"))
        if not failed.rowcount:
            return False
        await session.execute(dead(subject_of(booking_id), job_id, reason))
        return True


async def bury(subject: str, job_id: str, reason: str) -> None:
    """Messages that belong to no booking."""
    async with Session.begin() as session:
        await session.execute(dead(subject, job_id, reason))


def dead(subject, job_id, reason):
    row = dict(subject=subject, job_id=job_id, reason=reason[:200], at=now())
    return insert(DeadLetter).values(**row).on_conflict_do_nothing()


async def edit_note(booking_id: int, version: int, note: str) -> int:
    async with Session.begin() as session:
        edited = await session.execute(
            update(rows)
            .where(rows.c.id == booking_id, rows.c.version == version)
            .values(note=note, version=version + 1)
        )
        if not edited.rowcount:
            if await exists(session, booking_id):
                raise Contended(f"booking {booking_id}")
            raise NoSuchBooking(f"booking {booking_id}")
    return version + 1
'''

VARIANTS = [
    {
        "id": "ok-audit-first", "kind": "correct", "job": "book-slot",
        "what": "Right in another way: no version check in the job; single conditional UPDATEs in Core, and the unique audit line, inserted first in the transaction, decides who has booked. Log in logfmt instead of JSON",
        "edits": [
            ("radiosender/bookings.py", (_BASE / "radiosender/bookings.py").read_text(), OK_BOOKINGS),
            ("radiosender/logs.py", "import json\nimport logging", "import logging"),
            ("radiosender/logs.py", "class JsonLines(logging.Formatter):", "class LogFmt(logging.Formatter):"),
            ("radiosender/logs.py", '''        return json.dumps(line, ensure_ascii=False)
''', '''        return " ".join(f"{name}={str(value).replace(' ', '_')}" for name, value in line.items())
'''),
            ("radiosender/logs.py", "handler.setFormatter(JsonLines())", "handler.setFormatter(LogFmt())"),
            ("tests/test_book_slot.py", "import asyncio\nimport json\n", "import asyncio\n"),
            ("tests/test_book_slot.py", '''[json.loads(logs.JsonLines().format(record)) for record''', '''[dict(pair.split("=", 1) for pair in logs.LogFmt().format(record).split()) for record'''),
            ("tests/test_book_slot.py", '''        ("j1", "booking-1", 1, "retry"),
        ("j1", "booking-1", 2, "booked"),
''', '''        ("j1", "booking-1", "1", "retry"),
        ("j1", "booking-1", "2", "booked"),
'''),
            ("README.md", '''Bookings are edited by several people, so the row has a `version` (SQLAlchemy's `version_id_col`). The job that loses a
race reads again and goes on; it only overwrites its own columns. What was ordered (when, how long) cannot be edited.
''', '''Bookings are edited by several people, so the row has a `version`. The job needs none: it moves the state by conditional
updates, and whoever gets the audit line in has booked. What was ordered (when, how long) cannot be edited.
'''),
            ("README.md", "The log is JSON, one object per line:", "The log is logfmt:"),
        ],
    },
    {
        "id": "m-reservation-by-version", "kind": "mistake", "job": "book-slot",
        "what": "The reservation's id carries the version of the booking, as an edited booking should get a reservation of its own. Breaks the effect's promise (convergent: the same id at each repetition): the first try reads version 1, bumps it to 2 by counting its start, and puts spot-1-v1; Sendeplan reserves, the answer is lost (or the worker dies before finish()); the next try reads version 2 and puts spot-1-v2: a second slot is reserved and billed for the same booking, and nobody knows of the first",
        "edits": [
            ("radiosender/bookings.py", '''        booking.starts += 1
        booking.touched_at = now()
        return Wish(booking.id, f"spot-{booking.id}", booking.wanted_at, booking.seconds), booking.starts
''', '''        wish = Wish(booking.id, f"spot-{booking.id}-v{booking.version}", booking.wanted_at, booking.seconds)
        booking.starts += 1
        booking.touched_at = now()
        return wish, booking.starts
'''),
            ("README.md", '''1. `PUT /reservations/spot-<booking id>` at Sendeplan. The id is ours and never changes, nor does what we ask for under
   it, so the call may be repeated''', '''1. `PUT /reservations/spot-<booking id>-v<version>` at Sendeplan. The id is ours, and what we ask for under it never
   changes (an edited booking has another version), so the call may be repeated'''),
            ("tests/test_book_slot.py", '''    assert sendeplan.puts == ["spot-1"]
''', '''    assert sendeplan.puts == ["spot-1-v1"]
'''),
            ("tests/test_book_slot.py", '''    assert list(sendeplan.reservations.values()) == ["slot-1"]
''', '''    assert booking().slot in sendeplan.reservations.values()
'''),
        ],
    },
]
