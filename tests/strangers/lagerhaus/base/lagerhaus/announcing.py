"""Announce one shipment. Each step is a transaction of its own; none is open while the carrier thinks."""

from lagerhaus import clock
from lagerhaus.carrier import CarrierClient
from lagerhaus.commands import AnnounceShipment
from lagerhaus.model import Shipment, UnknownShipment
from lagerhaus.uow import UnitOfWork

TASK = "announce-shipment"
SETTLED = ("announced", "stuck")


def announce(command: AnnounceShipment) -> str:
    shipment = _start(command.shipment_no)
    if shipment.status in SETTLED:
        return f"nothing to do, it is {shipment.status}"
    with CarrierClient() as carrier:
        tracking_no = carrier.announce(
            {
                "recipient": shipment.recipient,
                "address": shipment.address,
                "parcels": shipment.parcels,
                "weightGrams": shipment.weight_g,
            },
            client_reference=shipment.client_reference,
        )
    return _confirm(shipment.shipment_no, tracking_no)


def _start(shipment_no: str) -> Shipment:
    with UnitOfWork() as uow:
        shipment = uow.shipments.locked(shipment_no)
        if shipment is None:
            raise UnknownShipment(shipment_no)
        if shipment.status not in SETTLED:
            shipment.start(clock.utcnow())
            uow.shipments.save(shipment)
            uow.commit()
    return shipment


def _confirm(shipment_no: str, tracking_no: str) -> str:
    with UnitOfWork() as uow:
        shipment = uow.shipments.locked(shipment_no)
        if not shipment.confirm(tracking_no):
            return "another delivery was faster"
        uow.shipments.save(shipment)
        uow.pickups.expect(shipment.pickup_id, shipment.parcels)
        uow.dead_letters.withdraw(TASK, shipment_no)
        uow.commit()
    return "announced"


def bury(key: str, message: dict, reason: str) -> bool:
    """False where there is nothing to bury, since another delivery has got through."""
    with UnitOfWork() as uow:
        shipment = uow.shipments.locked(key)
        if shipment is not None:
            if not shipment.give_up():
                return False
            uow.shipments.save(shipment)
        uow.dead_letters.put(TASK, key, message, reason)
        uow.commit()
    return True
