"""What may be asked of the warehouse, as it travels through the queue."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

ShipmentNo = Annotated[str, StringConstraints(pattern=r"^LH-[0-9]{6}$")]


class Command(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AnnounceShipment(Command):
    shipment_no: ShipmentNo
