"""What has been decided and not been published yet."""
import structlog

from foodbank import schema

log = structlog.get_logger()


def write(db, pickup_id):
    return db.execute(
        "insert into outbox (pickup_id, written_at) values (?, ?)", (pickup_id, schema.now())
    ).lastrowid


def publish(row_id, pickup_id):
    from foodbank.jobs import arrange_pickup

    message = arrange_pickup.send(pickup_id=pickup_id)
    with schema.writing() as db:
        db.execute("update outbox set sent_at = ? where id = ?", (schema.now(), row_id))
    log.info("published", pickup_id=pickup_id, outbox_id=row_id, message_id=message.message_id)


def relay():
    """Publishes what waits, oldest first. What fails stays for the next time."""
    with schema.reading() as db:
        waiting = db.execute("select id, pickup_id from outbox where sent_at is null order by id limit 200").fetchall()
    for row in waiting:
        publish(row["id"], row["pickup_id"])
    return len(waiting)
