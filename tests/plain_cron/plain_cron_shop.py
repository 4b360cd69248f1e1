"""A small shop whose receipts a script from a crontab sends, which every stage passes, and the ways to break it."""

from __future__ import annotations

from clocked_shop import ClockedShop

OWN: dict[str, str] = {
    "requirements.txt": "psycopg\n",
    "deploy/crontab": "*/5 * * * * cd /srv && flock -n /run/receipts python -m shop.receipts\n",
    "shop/orders.py": (
        """
        def due():
            with connect() as db:
                return db.execute("SELECT id, email FROM orders WHERE receipt_sent = 0").fetchall()

        def mark_sent(order_id):
            with connect() as db:
                db.execute("UPDATE orders SET receipt_sent = 1 WHERE id = ?", (order_id,))
        """
    ),
    "shop/receipts.py": (
        '''
        import logging
        import time

        from shop import dead_jobs, mailer, orders

        log = logging.getLogger(__name__)


        def send_receipt(order_id, email):
            """Emails one receipt; the crontab looks for due orders every five minutes.

            A dead letter is a row in dead_jobs; mend the cause, delete the row, and the next tick sends it.
            """
            log.info("receipt started order_id=%s request_id=%s", order_id, order_id)
            for attempt in range(5):
                try:
                    mailer.send(order_id, email, idempotency_key=f"receipt-{order_id}")
                    break
                except (mailer.Unavailable, TimeoutError) as error:
                    log.warning("receipt will retry order_id=%s attempt=%s: %r", order_id, attempt, error)
                    time.sleep(min(2 * 2**attempt, 60))
                except mailer.BadAddress as error:
                    log.error("receipt failed order_id=%s: %r", order_id, error)
                    dead_jobs.record(order_id, repr(error))
                    return
            else:
                dead_jobs.record(order_id, "unavailable")
                return
            log.info("receipt sent order_id=%s", order_id)
            orders.mark_sent(order_id)


        def main():
            for order_id, email in orders.due():
                send_receipt(order_id=order_id, email=email)


        if __name__ == "__main__":
            main()
        '''
    ),
}
SHOP = ClockedShop("*/5 * * * *", OWN)
FILES, build, edited = SHOP.files, SHOP.build, SHOP.edited

# What is broken -> (stage, files, the rule that tells it).
BROKEN: dict[str, tuple[str, dict[str, str], str]] = {
    "not-scheduled": (
        "identify",
        edited("deploy/crontab", "shop.receipts", "shop.other"),
        "identify.none",
    ),
    "attempts": (
        "retry",
        edited("shop/receipts.py", "range(5)", "range(3)"),
        "retry.max-attempts-differs",
    ),
    "wait": ("retry", edited("shop/receipts.py", "2 * 2**attempt", "7"), "retry.backoff-differs"),
    "not-retried": (
        "retry",
        edited("shop/receipts.py", "(mailer.Unavailable, TimeoutError)", "TimeoutError"),
        "retry.transient-not-retried",
    ),
    "no-dead-letter": (
        "dead-letter",
        edited("shop/receipts.py", "dead_jobs.record(", "print("),
        "dead-letter.not-written",
    ),
    "silent": (
        "observability",
        edited("shop/receipts.py", "log.info(", "len("),
        "observability.ran",
    ),
    "untested": (
        "tests",
        edited("tests/test_receipts.py", "test_terminal", "terminal"),
        "tests.no-terminal",
    ),
}
