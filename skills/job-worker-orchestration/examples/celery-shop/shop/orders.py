"""Orders: what the payment provider's webhook calls."""

from shop import db, tasks


def settle(order_id: int, email: str, request_id: str | None = None) -> None:
    """Stores a settled order and has its receipt sent. Calling it again is safe.

    The job is enqueued after the commit: a worker must never see a message whose order is not there yet.
    """
    with db.transaction() as connection:
        connection.execute(
            "INSERT INTO orders (id, email) VALUES (?, ?) ON CONFLICT (id) DO NOTHING",
            (order_id, email),
        )
    headers = {"request_id": request_id} if request_id else {}
    tasks.send_receipt.apply_async(kwargs={"order_id": order_id, "email": email}, headers=headers)
