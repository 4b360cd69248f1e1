"""`python -m clinic.schema`: the tables, and a few confirmed appointments to play with. Running it again changes nothing."""

import asyncio
import time

from sqlalchemy.dialects.sqlite import insert

from clinic import db
from clinic.models import Appointment, Base, Confirmation

DEMO = [
    (7, "+41790000007", "12 May, 09:30"),
    (8, "+41790000008", "12 May, 10:00"),
    (9, "+41790000009", "13 May, 14:15"),
]


async def create() -> None:
    async with db.engine().begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


async def seed() -> None:
    now = int(time.time())
    async with db.transaction() as session:
        for id_, phone, starts_at in DEMO:
            await session.execute(
                insert(Appointment).values(id=id_, phone=phone, starts_at=starts_at).on_conflict_do_nothing()
            )
            await session.execute(
                insert(Confirmation)
                .values(
                    appointment_id=id_,
                    phone=phone,
                    text=f"Your appointment on {starts_at} is confirmed. Call us to change it.",
                    requested_at=now,
                    due_at=now,
                )
                .on_conflict_do_nothing()
            )


async def main() -> None:
    await create()
    await seed()


if __name__ == "__main__":
    asyncio.run(main())
