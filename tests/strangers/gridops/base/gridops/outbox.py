"""Messages are written in the transaction that makes them necessary and published after it."""

import json

from dramatiq.errors import BrokerError
from loguru import logger
from redis.exceptions import RedisError
from sqlalchemy import delete, insert, select

from .actors import broker
from .tables import engine, outbox


def add(con, actor: str, **kwargs) -> None:
    con.execute(insert(outbox).values(actor=actor, kwargs=json.dumps(kwargs)))


def flush() -> None:
    """A message is removed after it was published: a crash in between publishes it twice."""
    with engine.connect() as con:
        waiting = con.execute(select(outbox).order_by(outbox.c.id)).all()
    for row in waiting:
        try:
            broker.get_actor(row.actor).send(**json.loads(row.kwargs))
        except (BrokerError, RedisError) as error:
            logger.bind(job=row.actor.replace("_", "-")).error("outbox {} not published: {!r}", row.id, error)
            return
        with engine.begin() as con:
            con.execute(delete(outbox).where(outbox.c.id == row.id))
