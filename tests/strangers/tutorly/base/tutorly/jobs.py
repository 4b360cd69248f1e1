import sqlite3

from loguru import logger
from redis.exceptions import RedisError
from taskiq import InMemoryBroker, SmartRetryMiddleware, TaskiqEvents, TaskiqScheduler
from taskiq.schedule_sources import LabelScheduleSource
from taskiq_redis import ListRedisScheduleSource, RedisStreamBroker

from paykit import PayClient, PayUnavailable
from tutorly import books, conf, logs, middleware

TASK = "charge-lesson"

if conf.REDIS.startswith("memory"):
    retries, broker = None, InMemoryBroker()
else:
    retries = ListRedisScheduleSource(conf.REDIS, prefix="tutorly:retries")
    broker = RedisStreamBroker(
        conf.REDIS,
        queue_name="tutorly:jobs",
        consumer_id="0",
        idle_timeout=120_000,
        unacknowledged_lock_timeout=30,
    )

broker.add_middlewares(
    middleware.JobContext(),
    middleware.DeadLetters({TASK}),
    SmartRetryMiddleware(
        default_retry_count=conf.ATTEMPTS,
        default_delay=conf.RETRY_STEP,
        use_delay_exponent=True,
        max_delay_exponent=conf.RETRY_CAP,
        schedule_source=retries,
        types_of_exceptions=(PayUnavailable, sqlite3.OperationalError, RedisError, TimeoutError),
    ),
)
scheduler = TaskiqScheduler(broker, sources=[LabelScheduleSource(broker)] + ([retries] if retries else []))


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def on_startup(_state) -> None:
    logs.setup()


@broker.task(task_name=TASK, retry_on_error=True)
async def charge_lesson(lesson_id: str) -> str:
    """Charge the student for a lesson and keep the receipt."""
    if books.lesson_id_of({"lesson_id": lesson_id}) is None:
        raise books.BadMessage("lesson_id")
    log = logger.bind(job=TASK, lesson_id=lesson_id, **middleware.current.get())
    lesson = await books.begin(lesson_id)
    if lesson.status != "held":
        log.info("nothing to do, outcome={}", lesson.status)
        return lesson.status
    log.info("charging, start={}", lesson.starts)
    async with PayClient(conf.PAYKIT_URL, conf.PAYKIT_TOKEN) as pay:
        charge = await pay.charge(
            idempotency_key=lesson.id, student_id=lesson.student_id, amount_cents=lesson.price_cents
        )
    first = await books.settle(lesson, charge["id"])
    log.success("charged, outcome={} charge={}", "charged" if first else "known", charge["id"])
    return "charged"


@broker.task(task_name="sweep-lessons", schedule=[{"cron": "*/10 * * * *"}])
async def sweep() -> int:
    from tutorly import lessons

    return await lessons.requeue_open()
