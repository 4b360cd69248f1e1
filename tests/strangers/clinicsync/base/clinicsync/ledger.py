"""What the reminder job knows and remembers. Every function is one transaction."""
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from clinicsync.config import settings
from clinicsync.db import now, one, transaction

MAX_ATTEMPTS = 5
# Textbee knows a client_ref for 24h; after that we would text somebody twice.
RESEND_FOR = timedelta(hours=23)


class NoSuchAppointment(Exception):
    pass


class GaveUp(Exception):
    """Tried often enough, or for too long."""


@dataclass(frozen=True)
class Claim:
    to: str
    text: str
    client_ref: str
    attempt: int


async def claim(appointment_id: int, day: str) -> Claim | str:
    """Books one attempt. A string says why there is nothing to send."""
    async with transaction() as conn:
        row = await one(
            conn,
            "SELECT a.starts_at, a.status, p.name, p.phone FROM appointments a"
            " JOIN patients p ON p.id = a.patient_id WHERE a.id = ?",
            appointment_id,
        )
        if row is None:
            raise NoSuchAppointment(f"appointment {appointment_id}")
        await conn.execute(
            "INSERT OR IGNORE INTO reminders (appointment_id, day, updated_at) VALUES (?, ?, ?)",
            (appointment_id, day, now()),
        )
        reminder = await one(
            conn, "SELECT * FROM reminders WHERE appointment_id = ? AND day = ?", appointment_id, day
        )
        if reminder["status"] in ("sent", "skipped", "dead"):
            return f"already {reminder['status']}"
        if why := _pointless(row, day):
            await conn.execute(
                "UPDATE reminders SET status = 'skipped', reason = ?, updated_at = ?"
                " WHERE appointment_id = ? AND day = ?",
                (why, now(), appointment_id, day),
            )
            return why
        if reminder["attempts"] >= MAX_ATTEMPTS:
            raise GaveUp(f"no answer recorded after {reminder['attempts']} attempts")
        first = reminder["first_sent_at"]
        if first and datetime.now(UTC) - datetime.fromisoformat(first) > RESEND_FOR:
            raise GaveUp(f"first sent at {first}, Textbee may have forgotten it")
        await conn.execute(
            "UPDATE reminders SET status = 'sending', attempts = attempts + 1, updated_at = ?,"
            " first_sent_at = coalesce(first_sent_at, ?) WHERE appointment_id = ? AND day = ?",
            (now(), now(), appointment_id, day),
        )
        return Claim(
            to=row["phone"],
            text=f"{row['name']}: see you on {day} at {row['starts_at'][11:]}. Reply NO to cancel.",
            client_ref=f"reminder-{appointment_id}-{day}",
            attempt=reminder["attempts"] + 1,
        )


def _pointless(appointment, day: str) -> str | None:
    if appointment["status"] != "booked":
        return "cancelled"
    if appointment["starts_at"][:10] != day:
        return "moved to another day"
    local = datetime.now(ZoneInfo(settings().timezone)).strftime("%Y-%m-%dT%H:%M")
    return "too late" if appointment["starts_at"] <= local else None


async def sent(appointment_id: int, day: str, sms_id: str) -> None:
    """Also over 'dead': the patient has the text, whatever we thought meanwhile."""
    async with transaction() as conn:
        await conn.execute(
            "UPDATE reminders SET status = 'sent', sms_id = ?, reason = NULL, updated_at = ?"
            " WHERE appointment_id = ? AND day = ? AND status <> 'sent'",
            (sms_id, now(), appointment_id, day),
        )


async def bury(job: str, job_id: str, message: dict, parsed, reason: str, attempts: int) -> None:
    """Closes the reminder, unless the message is gibberish (parsed is None), and leaves a dead letter."""
    async with transaction() as conn:
        if parsed is not None:
            key = (parsed.appointment_id, parsed.day)
            known = await one(
                conn,
                "SELECT status FROM reminders WHERE appointment_id = ? AND day = ?",
                *key,
            )
            if known and known["status"] in ("sent", "skipped", "dead"):
                return
            await conn.execute(
                "UPDATE reminders SET status = 'dead', reason = ?, updated_at = ?"
                " WHERE appointment_id = ? AND day = ?",
                (reason, now(), *key),
            )
        await conn.execute(
            "INSERT OR IGNORE INTO dead_letters VALUES (?, ?, ?, ?, ?, ?)",
            (job_id, job, json.dumps(message, default=str), reason, attempts, now()),
        )
