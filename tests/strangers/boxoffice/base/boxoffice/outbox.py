"""The outbox: what a transaction wanted to publish is published after it."""
import logging

from sqlalchemy import delete, insert, select

from boxoffice import actors, db  # noqa: F401 (the import of actors declares them)
from boxoffice.broker import broker

log = logging.getLogger(__name__)


def add(tx, actor: str, **kwargs) -> None:
    tx.execute(insert(db.outbox).values(actor=actor, kwargs=kwargs))


def relay() -> int:
    """Publish what lies in the outbox. What dies after the publishing is published again."""
    with db.begin() as tx:
        waiting = tx.execute(select(db.outbox).order_by(db.outbox.c.id)).all()
    for row in waiting:
        message = broker.get_actor(row.actor).send(**row.kwargs)
        with db.begin() as tx:
            tx.execute(delete(db.outbox).where(db.outbox.c.id == row.id))
        log.info("job published", extra={"job": row.actor, "message_id": message.message_id, **row.kwargs})
    return len(waiting)


if __name__ == "__main__":
    relay()
