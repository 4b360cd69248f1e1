"""Confirms orders."""

from depot import db, tasks


def confirm(order_id: int, address: str) -> None:
    """Keeps the order, then has its parcel booked; may be called again."""
    with db.transaction() as connection:
        connection.execute("INSERT INTO orders VALUES (?, ?) ON CONFLICT DO NOTHING", (order_id, address))
    tasks.book_shipment({"order_id": order_id, "address": address})
