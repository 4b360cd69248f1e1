"""Receipts: which order has had its email."""

from shop import db


class InvalidOrder(ValueError):
    """No order can have this number."""


def idempotency_key(order_id: int) -> str:
    """The key that all attempts of one order's receipt share."""
    if not isinstance(order_id, int) or order_id < 1:
        raise InvalidOrder(f"{order_id!r} is no order number")
    return f"receipt-{order_id}"


def was_sent(order_id: int) -> bool:
    """True if the receipt of this order went out."""
    with db.transaction() as connection:
        row = connection.execute("SELECT 1 FROM receipts WHERE order_id = ?", (order_id,)).fetchone()
    return row is not None


def mark_sent(order_id: int, email: str) -> None:
    """Records the receipt, once, and takes the order out of the dead jobs, in one transaction."""
    with db.transaction() as connection:
        connection.execute(
            "INSERT INTO receipts (order_id, email) VALUES (?, ?) ON CONFLICT (order_id) DO NOTHING",
            (order_id, email),
        )
        connection.execute("DELETE FROM dead_jobs WHERE job = 'send-receipt' AND order_id = ?", (order_id,))
