"""The front desk: what it calls when an appointment is made."""

from contextlib import closing

from clinic import db
from clinic.queue import app
from clinic.tasks import remind


def book(appointment_id: int, phone: str) -> None:
    """Keeps the appointment, then has its reminder sent."""
    with closing(db.connect()) as connection, connection:
        connection.execute("insert or ignore into appointments values (?, ?)", (appointment_id, phone))
    with app.open():
        remind.defer(appointment_id=appointment_id, phone=phone)
