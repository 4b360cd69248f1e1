from psycopg.types.json import Jsonb

from .db import connect, now

MAX_STARTS = 9


class UnknownConsignment(Exception):
    pass


class TooManyStarts(Exception):
    pass


def begin(consignment_id):
    """Count a start and return the row; None where nothing is asked for any more."""
    with connect() as conn:
        row = conn.execute(
            "update consignments set starts = starts + 1, moved_at = %s"
            " where id = %s and status = 'requested' returning *",
            (now(), consignment_id),
        ).fetchone()
        known = conn.execute("select 1 from consignments where id = %s", (consignment_id,)).fetchone()
    if not known:
        raise UnknownConsignment(consignment_id)
    if row and row["starts"] > MAX_STARTS:
        raise TooManyStarts(f"{MAX_STARTS} starts came to no end")
    return row


def finish(consignment_id, tracking, label_key):
    """Booked, whatever another delivery has made of it meanwhile."""
    with connect() as conn:
        row = conn.execute(
            "select status, route_id, parcels from consignments where id = %s for update", (consignment_id,)
        ).fetchone()
        if row["status"] == "booked":
            return
        conn.execute(
            "update consignments set status = 'booked', tracking = %s, label_key = %s, version = version + 1"
            " where id = %s",
            (tracking, label_key, consignment_id),
        )
        conn.execute(
            "update routes set booked_parcels = booked_parcels + %s where id = %s",
            (row["parcels"], row["route_id"]),
        )
        conn.execute(
            "delete from dead_letters where job = 'book-consignment' and key = %s", (str(consignment_id),)
        )


def bury(key, message, reason):
    """One dead letter; none where another delivery has booked meanwhile. Returns whether."""
    with connect() as conn:
        row = conn.execute("select id, status from consignments where id::text = %s for update", (key,)).fetchone()
        if row and row["status"] == "booked":
            return False
        if row and row["status"] == "requested":
            conn.execute(
                "update consignments set status = 'dead', version = version + 1 where id = %s", (row["id"],)
            )
        conn.execute(
            "insert into dead_letters (job, key, message, reason) values ('book-consignment', %s, %s, %s)"
            " on conflict do nothing",
            (key, Jsonb(message), reason),
        )
    return True
