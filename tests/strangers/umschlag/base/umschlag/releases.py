"""Dispatch releases a revision; the outbox carries the message to Celery."""
import structlog
from kombu.exceptions import OperationalError
from psycopg.types.json import Jsonb

from .db import connect
from .tasks import export_manifest

logger = structlog.get_logger()


class UnknownShipment(Exception):
    pass


def release(shipment_id, revision):
    with connect() as conn:
        known = conn.execute(
            "update shipments set released = greatest(released, %s) where id = %s returning id",
            (revision, shipment_id),
        ).fetchone()
        if known is None:
            raise UnknownShipment(shipment_id)
        _write(conn, shipment_id, revision)
    _publish_soon()


def publish_pending():
    """Hand what lies in the outbox to Celery. A row goes only after its message
    has left: twice is better than never."""
    with connect() as conn:
        rows = conn.execute(
            "select id, message from outbox order by id limit 200 for update skip locked"
        ).fetchall()
        for row in rows:
            export_manifest.apply_async(kwargs=row["message"])
            conn.execute("delete from outbox where id = %s", (row["id"],))
    if rows:
        logger.info("outbox published", messages=len(rows))


def revive(shipment_id, revision):
    """Once more, after somebody has mended what an export died of."""
    with connect() as conn:
        conn.execute(
            "update exports set status = 'pending', starts = 0"
            " where shipment_id = %s and revision = %s and status = 'dead'",
            (shipment_id, revision),
        )
        conn.execute(
            "delete from dead_letters where message = %s",
            (Jsonb({"shipment_id": shipment_id, "revision": revision}),),
        )
        _write(conn, shipment_id, revision)
    _publish_soon()


def _write(conn, shipment_id, revision):
    conn.execute(
        "insert into outbox (message) values (%s)",
        (Jsonb({"shipment_id": shipment_id, "revision": revision}),),
    )


def _publish_soon():
    try:
        publish_pending()
    except OperationalError as exc:
        logger.warning("broker is away, the outbox keeps it", reason=str(exc))
