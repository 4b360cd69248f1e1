"""arq radiosender.worker.WorkerSettings"""
import logging

from arq import Retry, cron, func
from arq.connections import RedisSettings

from radiosender import bookings, logs, queue, settings
from radiosender.errors import BadMessage, NoSuchBooking, Verdict, classify
from radiosender.sendeplan import Sendeplan

log = logging.getLogger("radiosender.worker")


def checked(message: dict) -> int:
    booking_id = message.get("booking_id")
    if set(message) != {"booking_id"} or type(booking_id) is not int or booking_id < 1:
        raise BadMessage("booking_id")
    return booking_id


def wait(job_try: int) -> int:
    return 20 * 2 ** (job_try - 1)


async def reserve_and_book(sendeplan: Sendeplan, booking_id: int) -> str:
    wish = await bookings.start(booking_id)
    if wish is None:
        return "nothing_to_do"
    slot = await sendeplan.reserve(wish.reservation_id, wanted_at=wish.wanted_at, seconds=wish.seconds)
    return "booked" if await bookings.finish(booking_id, slot) else "booked_before"


async def book_slot(ctx, **message):
    job_id, job_try = ctx["job_id"], ctx["job_try"]
    about = {"job": "book_slot", "job_id": job_id, "try": job_try}
    booking_id = None
    try:
        booking_id = checked(message)
        about["key"] = bookings.subject_of(booking_id)
        outcome = await reserve_and_book(ctx["sendeplan"], booking_id)
    except Exception as exc:
        reason = type(exc).__name__
        if classify(exc) is Verdict.AGAIN and job_try < settings.TRIES:
            log.warning("again", extra=about | {"outcome": "retry", "reason": reason})
            raise Retry(defer=wait(job_try)) from exc
        if booking_id is None or isinstance(exc, NoSuchBooking):
            await bookings.bury(f"job-{job_id}", job_id, reason)
            outcome = "dead"
        else:
            outcome = "dead" if await bookings.give_up(booking_id, job_id, reason) else "superseded"
        log.error("given up", extra=about | {"outcome": outcome, "reason": reason})
        raise
    log.info("done", extra=about | {"outcome": outcome})
    return outcome


async def publish_unqueued(ctx):
    return await queue.publish_unqueued()


async def sweep(ctx):
    return await queue.sweep()


async def startup(ctx):
    logs.configure()
    ctx["sendeplan"] = Sendeplan()


async def shutdown(ctx):
    await ctx["sendeplan"].aclose()


class WorkerSettings:
    redis_settings = RedisSettings.from_dsn(settings.REDIS_URL)
    on_startup = startup
    on_shutdown = shutdown
    job_timeout = 90
    # Tries and starts are counted by ourselves; arq would drop the job without a word.
    functions = [func(book_slot, max_tries=100, keep_result=0)]
    cron_jobs = [
        cron(publish_unqueued, second=0),
        cron(sweep, minute={0, 10, 20, 30, 40, 50}, second=30),
    ]
