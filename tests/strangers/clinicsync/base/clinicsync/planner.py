"""Plans reminders and gets them into the queue."""
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from arq import create_pool
from arq.connections import RedisSettings
from loguru import logger

from clinicsync.config import settings
from clinicsync.db import every, now, one, transaction
from clinicsync.ledger import NoSuchAppointment

# Longer than the longest wait between two attempts (2 minutes).
STUCK_AFTER = timedelta(minutes=8)


@asynccontextmanager
async def queue():
    pool = await create_pool(RedisSettings.from_dsn(settings().redis_dsn))
    try:
        yield pool
    finally:
        await pool.aclose()


async def enqueue(pool, appointment_id: int, day: str) -> None:
    # With this id arq takes it once, for as long as it waits or runs.
    await pool.enqueue_job(
        "send_reminder", appointment_id=appointment_id, day=day, _job_id=f"reminder:{appointment_id}:{day}"
    )


async def plan_reminder(appointment_id: int, day: str) -> None:
    """Called by the front desk for short-notice bookings; the sweep below does the rest."""
    async with transaction() as conn:
        if await one(conn, "SELECT 1 FROM appointments WHERE id = ?", appointment_id) is None:
            raise NoSuchAppointment(f"appointment {appointment_id}")
        await _plan(conn, appointment_id, day)
    try:
        await publish_planned()
    except Exception as exc:  # the row is there, the relay runs every minute
        logger.warning("reminder {}/{} not queued yet: {!r}", appointment_id, day, exc)


async def _plan(conn, appointment_id: int, day: str) -> None:
    await conn.execute(
        "INSERT OR IGNORE INTO reminders (appointment_id, day, updated_at) VALUES (?, ?, ?)",
        (appointment_id, day, now()),
    )


async def publish_planned() -> int:
    """The relay. Queue first, note it afterwards."""
    async with transaction() as conn:
        rows = await every(
            conn, "SELECT appointment_id, day FROM reminders WHERE status = 'planned' AND queued_at IS NULL"
        )
    if not rows:
        return 0
    async with queue() as pool:
        for row in rows:
            await enqueue(pool, row["appointment_id"], row["day"])
            async with transaction() as conn:
                await conn.execute(
                    "UPDATE reminders SET queued_at = ? WHERE appointment_id = ? AND day = ?",
                    (now(), row["appointment_id"], row["day"]),
                )
    return len(rows)


async def plan_tomorrow() -> int:
    """The evening sweep: a reminder for each appointment of tomorrow."""
    tomorrow = (datetime.now(ZoneInfo(settings().timezone)) + timedelta(days=1)).strftime("%Y-%m-%d")
    async with transaction() as conn:
        rows = await every(
            conn, "SELECT id FROM appointments WHERE status = 'booked' AND substr(starts_at, 1, 10) = ?", tomorrow
        )
        for row in rows:
            await _plan(conn, row["id"], tomorrow)
    await publish_planned()
    return len(rows)


async def rescue_stuck() -> int:
    """Reminders nobody has touched for a while: Redis lost them, or their worker died for good."""
    before = (datetime.now(UTC) - STUCK_AFTER).isoformat(timespec="seconds")
    async with transaction() as conn:
        rows = await every(
            conn,
            "SELECT appointment_id, day, status FROM reminders"
            " WHERE status IN ('planned', 'sending') AND updated_at <= ?",
            before,
        )
    if not rows:
        return 0
    async with queue() as pool:
        for row in rows:
            await enqueue(pool, row["appointment_id"], row["day"])
            logger.warning("reminder {}/{} stood still ({}), queued again", row["appointment_id"], row["day"], row["status"])
    return len(rows)
