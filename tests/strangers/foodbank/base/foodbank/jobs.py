"""The actors: dramatiq foodbank.jobs"""
import dramatiq
import structlog

from foodbank import dock, outbox, pickups
from foodbank.bus import broker, retry_when
from foodbank.sms import Gateway

log = structlog.get_logger()


class BadMessage(pickups.Hopeless):
    pass


@dramatiq.actor(
    broker=broker,
    queue_name="pickups",
    retry_when=retry_when,
    min_backoff=30_000,
    max_backoff=300_000,
    time_limit=120_000,
)
def arrange_pickup(pickup_id):
    if not pickups.is_id(pickup_id):
        raise BadMessage(f"pickup_id is a {type(pickup_id).__name__}")
    pickup = pickups.begin(pickup_id)
    if pickup["status"] == "open":
        slot_id, slot_from = dock.book(pickup)
        pickup = pickups.mark_booked(pickup_id, slot_id, slot_from)
        log.info("slot_booked", slot_id=slot_id)
    if pickup["status"] == "booked":
        sms_id = Gateway().send(
            to=pickup["driver_phone"],
            text=f"{pickup['crates']} crates at {pickup['partner']} on {pickup['day']}, dock from {pickup['slot_from']}.",
            reference=f"pickup-{pickup_id}",
        )
        told = pickups.mark_told(pickup_id, sms_id)
        log.info("driver_told", sms_id=sms_id, first=told)
        return "told"
    return f"nothing to do, it is {pickup['status']}"


@dramatiq.actor(broker=broker, queue_name="chores", max_retries=0, max_age=60_000)
def relay_outbox():
    return outbox.relay()


@dramatiq.actor(broker=broker, queue_name="chores", max_retries=0, max_age=600_000)
def chase_pickups():
    return pickups.chase()
