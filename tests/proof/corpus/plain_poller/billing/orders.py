"""Placing an order."""

from billing.db import connect


def place(order_id: int, email: str) -> None:
    """The row is the job; the poller finds it."""
    connection = connect()
    with connection:
        connection.execute("insert or ignore into invoices (order_id, email) values (?, ?)", (order_id, email))
    connection.close()
