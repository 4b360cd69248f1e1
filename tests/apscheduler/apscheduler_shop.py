"""A small shop that APScheduler runs, which every stage passes, and the ways to break it."""

from __future__ import annotations

from clocked_shop import ClockedShop

OWN: dict[str, str] = {
    "requirements.txt": "APScheduler>=3.10,<4\ntenacity\n",
    "Procfile": "clock: python -m shop.clock\n",
    "shop/clock.py": (
        """
        from apscheduler.schedulers.blocking import BlockingScheduler

        from shop.receipts import send_due

        scheduler = BlockingScheduler(timezone="UTC", job_defaults={"misfire_grace_time": 300, "coalesce": True})
        scheduler.add_job(send_due, "cron", hour=4, id="receipts")

        if __name__ == "__main__":
            scheduler.start()
        """
    ),
    "shop/orders.py": (
        """
        def due():
            return db.execute("SELECT id, email FROM orders WHERE customer = 7").fetchall()
        """
    ),
    "shop/receipts.py": (
        '''
        import logging

        from tenacity import RetryError, retry, retry_if_exception_type, stop_after_attempt, wait_exponential

        from shop import dead_jobs, mailer, orders

        log = logging.getLogger(__name__)


        def send_due():
            for order_id, email in orders.due():
                send_receipt(order_id=order_id, email=email)


        def send_receipt(order_id, email):
            """Emails one receipt, for the scheduler in shop.clock, which looks for due orders every night.

            A dead letter is a row in dead_jobs; mend the cause, delete the row, and the next night sends it.
            """
            log.info("receipt started order_id=%s", order_id)
            try:
                _try(order_id, email)
            except (mailer.BadAddress, RetryError) as error:
                log.error("receipt failed order_id=%s: %r", order_id, error)
                dead_jobs.record(order_id, repr(error))
                return
            log.info("receipt sent order_id=%s", order_id)


        @retry(
            stop=stop_after_attempt(5),
            wait=wait_exponential(multiplier=2, max=60),
            retry=retry_if_exception_type((mailer.Unavailable, TimeoutError)),
        )
        def _try(order_id, email):
            try:
                mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
            except (mailer.Unavailable, TimeoutError) as error:
                log.warning("receipt will retry order_id=%s after this attempt: %r", order_id, error)
                raise
        '''
    ),
}
SHOP = ClockedShop("0 4 * * *", OWN)
FILES, build, edited = SHOP.files, SHOP.build, SHOP.edited

# What is broken -> (stage, files, the rule that tells it).
BROKEN: dict[str, tuple[str, dict[str, str], str]] = {
    "not-wired": (
        "handler",
        edited("shop/clock.py", "scheduler.add_job(", "print("),
        "handler.not-wired",
    ),
    "once": (
        "handler",
        edited("shop/clock.py", '"cron", hour=4', '"date"'),
        "handler.not-scheduled",
    ),
    "attempts": (
        "retry",
        edited("shop/receipts.py", "attempt(5)", "attempt(3)"),
        "retry.max-attempts-differs",
    ),
    "endless": (
        "retry",
        edited("shop/receipts.py", "stop=stop_after_attempt(5),", ""),
        "retry.max-attempts-differs",
    ),
    "cap": ("retry", edited("shop/receipts.py", "max=60", "max=90"), "retry.backoff-differs"),
    "dead-letter": (
        "dead-letter",
        edited("shop/receipts.py", "dead_jobs.record(", "print("),
        "dead-letter.not-written",
    ),
    "called": (
        "handler",
        edited("shop/clock.py", "(send_due,", "(send_due(),"),
        "apscheduler.called-not-added",
    ),
}
