"""What the people at the packing tables do, and what is done for them when nobody looks."""

from datetime import timedelta
from uuid import uuid4

import psycopg
from loguru import logger

from lagerhaus import clock
from lagerhaus.commands import AnnounceShipment
from lagerhaus.model import NotPacked
from lagerhaus.queue import publisher
from lagerhaus.uow import UnitOfWork

STALE = timedelta(minutes=15)


def release(shipment_no: str) -> None:
    """The row and its job are committed together, or neither is. A second click changes nothing."""
    with UnitOfWork() as uow:
        shipment = uow.shipments.locked(shipment_no)
        if shipment is None:
            raise NotPacked(shipment_no)
        if shipment.release(uuid4(), clock.utcnow()):
            uow.shipments.save(shipment)
            defer(uow.conn, shipment_no)
        uow.commit()


def reopen(shipment_no: str) -> None:
    """Somebody has looked at a stuck shipment: once more, under the same reference."""
    with UnitOfWork() as uow:
        shipment = uow.shipments.locked(shipment_no)
        if shipment is None or shipment.status != "stuck":
            return
        shipment.status, shipment.starts, shipment.touched_at = "released", 0, clock.utcnow()
        uow.shipments.save(shipment)
        uow.dead_letters.withdraw("announce-shipment", shipment_no)
        defer(uow.conn, shipment_no)
        uow.commit()


def chase() -> int:
    """Released, and nothing has moved for long: the job is lost, or its worker."""
    with UnitOfWork() as uow:
        stale = uow.shipments.locked_stale(clock.utcnow() - STALE)
        for shipment in stale:
            shipment.touched_at = clock.utcnow()
            uow.shipments.save(shipment)
            defer(uow.conn, shipment.shipment_no)
        uow.commit()
    for shipment in stale:
        logger.bind(job="announce-shipment", key=shipment.shipment_no).warning("stood still, deferred again")
    return len(stale)


def defer(conn: psycopg.Connection, shipment_no: str) -> None:
    command = AnnounceShipment(shipment_no=shipment_no)
    publisher.configure_task("announce_shipment", queue="carrier", connection=conn).defer(**command.model_dump())
