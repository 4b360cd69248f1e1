"""Rows of the export of one revision."""
import csv
import io

from psycopg.types.json import Jsonb

from .db import connect


class NoSuchRevision(Exception):
    pass


def start(shipment_id, revision):
    """Count a start of an export that has not ended; returns its row."""
    with connect() as conn:
        conn.execute(
            "insert into exports (shipment_id, revision) values (%s, %s) on conflict do nothing",
            (shipment_id, revision),
        )
        conn.execute(
            "update exports set starts = starts + 1"
            " where shipment_id = %s and revision = %s and status = 'pending'",
            (shipment_id, revision),
        )
        return conn.execute(
            "select * from exports where shipment_id = %s and revision = %s", (shipment_id, revision)
        ).fetchone()


def manifest(shipment_id, revision):
    """The carrier, the number of pieces and the CSV: the same text each time."""
    with connect() as conn:
        shipment = conn.execute("select carrier from shipments where id = %s", (shipment_id,)).fetchone()
        lines = conn.execute(
            "select line, sku, pieces, kilograms from shipment_lines"
            " where shipment_id = %s and revision = %s order by line",
            (shipment_id, revision),
        ).fetchall()
    if shipment is None or not lines:
        raise NoSuchRevision(f"shipment {shipment_id} has no revision {revision}")
    text = io.StringIO()
    writer = csv.DictWriter(text, ["line", "sku", "pieces", "kilograms"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return shipment["carrier"], sum(line["pieces"] for line in lines), text.getvalue()


def stored(shipment_id, revision, key):
    with connect() as conn:
        conn.execute(
            "update exports set object_key = %s where shipment_id = %s and revision = %s",
            (key, shipment_id, revision),
        )


def finish(shipment_id, revision):
    with connect() as conn:
        conn.execute(
            "update exports set status = 'done'"
            " where shipment_id = %s and revision = %s and status = 'pending'",
            (shipment_id, revision),
        )
        conn.execute(  # revisions may overtake each other
            "update shipments set exported = greatest(exported, %s) where id = %s",
            (revision, shipment_id),
        )


def bury(job, message, reason):
    """Record a job that was given up, once. Returns False where another delivery
    of it has brought it to its end meanwhile."""
    numbers = [message.get("shipment_id"), message.get("revision")]
    with connect() as conn:
        if set(message) == {"shipment_id", "revision"} and all(type(n) is int for n in numbers):
            conn.execute(
                "update exports set status = 'dead'"
                " where shipment_id = %s and revision = %s and status = 'pending'",
                numbers,
            )
            done = conn.execute(
                "select 1 from exports where shipment_id = %s and revision = %s and status = 'done'",
                numbers,
            ).fetchone()
            if done:
                return False
        conn.execute(
            "insert into dead_letters (job, message, reason) values (%s, %s, %s) on conflict do nothing",
            (job, Jsonb(message), reason),
        )
    return True
