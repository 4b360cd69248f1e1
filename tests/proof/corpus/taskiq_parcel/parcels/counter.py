"""The counter: what it calls when a parcel was handed in."""

from contextlib import closing

from parcels import db
from parcels.tasks import announce


async def take(parcel_id: int, address: str) -> None:
    """Keeps the parcel, then has it announced."""
    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into parcels values (?, ?)", (parcel_id, address))
    await announce.kiq(parcel_id=parcel_id, address=address)
