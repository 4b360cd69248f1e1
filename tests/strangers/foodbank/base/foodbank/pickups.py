"""Pickups: every statement that reads or changes one."""
import structlog

from foodbank import outbox, schema

log = structlog.get_logger()

MAX_STARTS = 12
KEYS_ARE_KNOWN_FOR = 40 * 3600  # the dock and the gateway promise 48 hours


class Hopeless(Exception):
    """No further attempt can change it."""


class NoSuchPickup(Hopeless):
    pass


class TooManyStarts(Hopeless):
    pass


class TooLate(Hopeless):
    pass


SELECT = """
select p.*, d.name as driver_name, d.phone as driver_phone
from pickups p join drivers d on d.id = p.driver_id where p.id = ?
"""


def is_id(value):
    return type(value) is int and 0 < value < 2**63


def dispatch(pickup_id):
    """A coordinator is done planning. Dispatching twice does no harm."""
    with schema.writing() as db:
        changed = db.execute(
            "update pickups set touched_at = ? where id = ? and status in ('open', 'booked')",
            (schema.now(), pickup_id),
        ).rowcount
        if not changed:
            return
        row_id = outbox.write(db, pickup_id)
    try:
        outbox.publish(row_id, pickup_id)
    except Exception as exc:
        log.warning("publish_postponed", pickup_id=pickup_id, outbox_id=row_id, error=type(exc).__name__)


def find(pickup_id):
    with schema.reading() as db:
        return db.execute(SELECT, (pickup_id,)).fetchone()


def begin(pickup_id):
    """Counts the start, so that a pickup which takes its worker down is not begun for ever."""
    now = schema.now()
    with schema.writing() as db:
        pickup = db.execute(SELECT, (pickup_id,)).fetchone()
        if pickup is None:
            raise NoSuchPickup(f"pickup {pickup_id}")
        if pickup["status"] in ("told", "failed"):
            return pickup
        if pickup["starts"] >= MAX_STARTS:
            raise TooManyStarts(f"pickup {pickup_id} was begun {pickup['starts']} times")
        if pickup["first_try_at"] is not None and now - pickup["first_try_at"] > KEYS_ARE_KNOWN_FOR:
            raise TooLate(f"pickup {pickup_id} was first tried {now - pickup['first_try_at']:.0f}s ago")
        db.execute(
            "update pickups set starts = starts + 1, first_try_at = coalesce(first_try_at, ?), touched_at = ?"
            " where id = ?",
            (now, now, pickup_id),
        )
    return pickup


def mark_booked(pickup_id, slot_id, slot_from):
    with schema.writing() as db:
        db.execute(
            "update pickups set status = 'booked', slot_id = ?, slot_from = ? where id = ? and status = 'open'",
            (slot_id, slot_from, pickup_id),
        )
        return db.execute(SELECT, (pickup_id,)).fetchone()


def mark_told(pickup_id, sms_id):
    with schema.writing() as db:
        told = db.execute(
            "update pickups set status = 'told', sms_id = ? where id = ? and status = 'booked'", (sms_id, pickup_id)
        ).rowcount
        if told:
            db.execute(
                "update drivers set trips = trips + 1 where id = (select driver_id from pickups where id = ?)",
                (pickup_id,),
            )
    return bool(told)


def chase(after=600):
    """Writes a new outbox row for each pickup on its way that nobody has touched lately."""
    now = schema.now()
    with schema.writing() as db:
        stale = db.execute(
            "select id from pickups p where status in ('open', 'booked') and touched_at < ?"
            " and not exists (select 1 from outbox o where o.pickup_id = p.id and o.sent_at is null)",
            (now - after,),
        ).fetchall()
        for pickup in stale:
            db.execute("update pickups set touched_at = ? where id = ?", (now, pickup["id"]))
            outbox.write(db, pickup["id"])
    for pickup in stale:
        log.warning("pickup_chased", pickup_id=pickup["id"])
    outbox.relay()
    return len(stale)
