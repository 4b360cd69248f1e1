"""What dispatchers do."""
import logging
from datetime import timedelta

import psycopg
from procrastinate import App, SyncPsycopgConnector
from procrastinate.exceptions import ConnectorException

from .db import DSN, connect, now

logger = logging.getLogger("frachtweg.desk")
STALE = timedelta(minutes=30)


class NotADraft(Exception):
    pass


def request(consignment_id):
    with connect() as conn:
        row = conn.execute(
            "update consignments set status = case status when 'draft' then 'requested' else status end"
            " where id = %s returning status",
            (consignment_id,),
        ).fetchone()
    if row is None:
        raise NotADraft(consignment_id)
    _defer_soon()


def amend(consignment_id, grams):
    """Only what was not asked for yet may be changed."""
    with connect() as conn:
        changed = conn.execute(
            "update consignments set grams = %s, version = version + 1 where id = %s and status = 'draft'",
            (grams, consignment_id),
        ).rowcount
    if not changed:
        raise NotADraft(consignment_id)


def revive(consignment_id):
    with connect() as conn:
        conn.execute(
            "update consignments set status = 'requested', starts = 0, moved_at = null"
            " where id = %s and status = 'dead'",
            (consignment_id,),
        )
        conn.execute(
            "delete from dead_letters where job = 'book-consignment' and key = %s", (str(consignment_id),)
        )
    _defer_soon()


def defer_due():
    """Defers what was requested and never deferred, or has not moved for long."""
    with connect() as conn:
        rows = conn.execute(
            "select id from consignments where status = 'requested' and (moved_at is null or moved_at < %s)"
            " order by id",
            (now() - STALE,),
        ).fetchall()
    for row in rows:
        defer(row["id"])
        with connect() as conn:
            conn.execute("update consignments set moved_at = %s where id = %s", (now(), row["id"]))
    if rows:
        logger.info("%d consignments deferred", len(rows))


def defer(consignment_id):
    with App(connector=SyncPsycopgConnector(conninfo=DSN)).open() as publisher:  # by name: it has no tasks
        publisher.configure_task("book_consignment").defer(consignment_id=consignment_id)


def _defer_soon():
    try:
        defer_due()
    except (ConnectorException, psycopg.OperationalError) as exc:
        logger.warning("not deferred yet (%s), left to the sweep", type(exc).__name__)
