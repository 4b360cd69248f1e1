"""The background job: announce one parcel."""

import logging
from contextlib import closing

from parcels import carrier, db
from parcels.broker import broker

log = logging.getLogger(__name__)


class Unusable(Exception):
    """No parcel with an address."""


@broker.task
async def announce(parcel_id: int | None = None, address: str = "") -> None:
    """Announces one parcel, once however often the job runs."""
    log.info("announcement started parcel=%s", parcel_id)
    if not isinstance(parcel_id, int) or not address:
        raise Unusable(f"{parcel_id!r}, {address!r}")
    if was_announced(parcel_id):
        log.info("announcement was sent before parcel=%s", parcel_id)
        return
    await carrier.announce(address, parcel_id, reference=f"parcel-{parcel_id}")
    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into announcements values (?, ?)", (parcel_id, address))
    log.info("announcement sent parcel=%s", parcel_id)


def was_announced(parcel_id: int) -> bool:
    with closing(db.connect()) as connection:
        found = connection.execute("select 1 from announcements where parcel_id = ?", (parcel_id,))
        return found.fetchone() is not None
