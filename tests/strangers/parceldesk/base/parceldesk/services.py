"""What the desk does; the web pages and the command line call these."""

from . import queueing
from .db import reading, transaction
from .errors import UnknownParcel
from .repositories import ParcelRepository


def request_label(shipment_id, parcel):
    """Note that the parcel wants a label, then put the job on the queue.

    If we die in between, the parcel stays 'requested' and requeue_requested() picks it up.
    """
    with transaction() as con:
        parcels = ParcelRepository(con)
        found = parcels.get(shipment_id, parcel)
        if found is None:
            raise UnknownParcel(f"{shipment_id}/{parcel}")
        if found.label_state == "printed":
            return False
        parcels.set_state(shipment_id, parcel, "requested", unless=("printed",))
    _publish(shipment_id, parcel)
    return True


def requeue_requested():
    """Every minute, from cron: publish what request_label() left behind."""
    with reading() as con:
        waiting = ParcelRepository(con).requested()
    for row in waiting:
        _publish(row["shipment_id"], row["parcel"])
    return len(waiting)


def _publish(shipment_id, parcel):
    queueing.publish_label(shipment_id, parcel)
    with transaction() as con:  # the worker may have been faster than we are
        ParcelRepository(con).set_state(shipment_id, parcel, "queued", unless=("printed", "failed"))
