"""python -m wasserwerk.schema [--demo]"""
import asyncio
import sys
from datetime import date

from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from . import config
from .model import Base, Bill

DEMO = [(1, "W27-000101", "M-4410", "A. Brunner", 1210, 1304), (2, "W27-000102", "M-4411", "F. Keller", 877, 901),
        (3, "W27-000103", "M-4502", "Kita Seeweg", 5020, 5388)]


async def create(demo: bool = False) -> None:
    engine = create_async_engine(config.db_url())
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    if demo:
        async with AsyncSession(engine) as session, session.begin():
            for id_, number, meter, customer, low, high in DEMO:
                if await session.get(Bill, id_) is None:
                    session.add(Bill(id=id_, number=number, meter=meter, customer=customer, reading_from=low,
                                     reading_to=high, cents_per_m3=211, issued_on=date(2027, 1, 15)))
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(create("--demo" in sys.argv[1:]))
