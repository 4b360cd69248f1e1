"""The ticket desk: what it calls when a ticket is sold."""

from contextlib import closing

from museum import db
from museum.queues import queue
from museum.tasks import RETRIES


async def sell(sale_id: int, email: str) -> None:
    """Keeps the sale, then has its ticket sent."""
    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into sales values (?, ?)", (sale_id, email))
    await queue.enqueue("send_ticket", sale_id=sale_id, email=email, retries=RETRIES, timeout=60)
