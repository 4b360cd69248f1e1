from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

MAX_STARTS = 8
REPEATABLE_FOR = timedelta(days=10)  # Paketbote knows a client reference for 14 days


class UnknownShipment(Exception):
    """No such shipment number."""


class NotReleased(Exception):
    """The shipment is still on the packing table."""


class NotPacked(Exception):
    """There is nothing to release."""


class GoneTooOften(Exception):
    """Starts that came to no end, most likely together with their workers."""


class ReferenceTooOld(Exception):
    """The carrier may have forgotten this reference; a person has to look."""


@dataclass
class Shipment:
    shipment_no: str
    pickup_id: int
    recipient: str = field(repr=False)
    address: str = field(repr=False)
    parcels: int
    weight_g: int
    status: str = "packed"  # packed, released, announced, stuck
    client_reference: UUID | None = None
    tracking_no: str | None = None
    starts: int = 0
    first_start_at: datetime | None = None
    touched_at: datetime | None = None

    def release(self, reference: UUID, now: datetime) -> bool:
        if self.status != "packed":
            return False
        self.status, self.client_reference, self.touched_at = "released", reference, now
        return True

    def start(self, now: datetime) -> None:
        if self.status == "packed":
            raise NotReleased(self.shipment_no)
        self.first_start_at = self.first_start_at or now
        if self.starts >= MAX_STARTS:
            raise GoneTooOften(f"{self.starts} starts")
        if now - self.first_start_at > REPEATABLE_FOR:
            raise ReferenceTooOld(f"first used on {self.first_start_at:%Y-%m-%d}")
        self.starts += 1
        self.touched_at = now

    def confirm(self, tracking_no: str) -> bool:
        """Also where another delivery had given up in the meantime: the carrier will come."""
        if self.status == "announced":
            return False
        self.status, self.tracking_no = "announced", tracking_no
        return True

    def give_up(self) -> bool:
        if self.status == "announced":
            return False
        if self.status == "released":
            self.status = "stuck"
        return True
