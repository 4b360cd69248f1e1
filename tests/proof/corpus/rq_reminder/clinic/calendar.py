"""The calendar: what it calls the day before an appointment."""

from rq import Callback, Retry

from clinic import reminders
from clinic.store import texts


def announce(appointment_id: int, phone: str) -> None:
    """Has the patient reminded."""
    texts.enqueue(
        reminders.remind,
        {"appointment_id": appointment_id, "phone": phone},
        retry=Retry(max=2, interval=[20, 40]),
        on_failure=Callback(reminders.failed),
    )
