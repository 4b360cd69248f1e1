"""The background job: credit a voucher, and what becomes of one that cannot be credited."""

import json
import logging
from typing import Any

from celery import Celery, Task
from sqlalchemy.exc import OperationalError

from wallets import book
from wallets.models import DeadCredit, Session

log = logging.getLogger(__name__)
app = Celery("wallets", broker="redis://localhost/0")
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, task_ignore_result=True)


class BadVoucher(ValueError):
    """No voucher can be worth this."""


class Credit(Task):
    """Says what becomes of an attempt that failed."""

    autoretry_for = (OperationalError,)
    max_retries = 4
    retry_backoff = 1
    retry_backoff_max = 30
    retry_jitter = True

    def on_retry(self, exc: Exception, task_id: str, args: tuple, kwargs: dict[str, Any], einfo: Any) -> None:
        log.warning("credit of voucher %s will be retried: %r", kwargs.get("voucher"), exc)

    def on_failure(self, exc: Exception, task_id: str, args: tuple, kwargs: dict[str, Any], einfo: Any) -> None:
        log.error("credit of voucher %s is given up: %r", kwargs.get("voucher"), exc)
        with Session.begin() as session:
            session.merge(DeadCredit(payload=json.dumps(kwargs, sort_keys=True), reason=type(exc).__name__))


@app.task(bind=True, base=Credit, name="wallets.credit")
def credit(self: Task, voucher: str, wallet: int, cents: int) -> None:
    """Credits one voucher, once however often the message is delivered."""
    if not voucher or cents < 1:
        raise BadVoucher(f"{voucher!r} over {cents!r}")
    log.info("credit of voucher %s begins", voucher)
    with Session.begin() as session:
        booked = book.add(session, voucher, wallet, cents)
    log.info("voucher %s is credited" if booked else "voucher %s was credited before", voucher)
