"""The unit of work: what is done inside is committed together, by commit(), or not at all."""
from sqlalchemy import event, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.pool import NullPool

from . import config
from .model import Bill, ParkedBill, utcnow


class Conflict(Exception):
    """Somebody else has changed the row since we read it."""


class Bills:
    def __init__(self, session: AsyncSession):
        self._session = session

    async def get(self, bill_id: int) -> Bill | None:
        return await self._session.get(Bill, bill_id)

    async def silent(self) -> list[int]:
        found = await self._session.scalars(
            select(Bill.id).where(Bill.status == "released", Bill.touched_at < utcnow() - config.SILENT)
            .order_by(Bill.touched_at).limit(500)
        )
        return list(found)


class Parked:
    def __init__(self, session: AsyncSession):
        self._session = session

    async def put(self, ref: str, reason: str, attempts: int, bill_id: int | None = None) -> None:
        if await self._session.get(ParkedBill, ref) is None:
            self._session.add(ParkedBill(ref=ref, bill_id=bill_id, reason=reason, attempts=attempts))

    async def drop(self, ref: str) -> None:
        row = await self._session.get(ParkedBill, ref)
        if row is not None:
            await self._session.delete(row)


class UnitOfWork:
    bills: Bills
    parked: Parked

    async def __aenter__(self) -> "UnitOfWork":
        self._engine = create_async_engine(config.db_url(), poolclass=NullPool, connect_args={"timeout": 15})
        event.listen(self._engine.sync_engine, "connect", lambda c, _: c.execute("pragma foreign_keys = on"))
        self._session = AsyncSession(self._engine, expire_on_commit=False)
        self.bills = Bills(self._session)
        self.parked = Parked(self._session)
        return self

    async def commit(self) -> None:
        try:
            await self._session.commit()
        except (StaleDataError, IntegrityError) as error:
            raise Conflict from error

    async def __aexit__(self, *exc) -> None:
        try:
            await self._session.close()
        finally:
            await self._engine.dispose()
