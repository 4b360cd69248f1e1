"""The job send-setpoints: each due order goes to the grid operator, the answer into the table."""
import logging
import uuid

from windpark import orders
from windpark.jsonlog import Journal
from windpark.operator import GridOperator, OperatorUnavailable, SetpointRefused

FIRST_WAIT, FACTOR, LONGEST_WAIT = 20, 3, 600

logger = logging.getLogger("windpark.dispatch")


def send_setpoints() -> None:
    journal = Journal(logger, job="send-setpoints", job_id=uuid.uuid4().hex[:12])
    ids = orders.due_ids()
    if not ids:
        return
    operator = GridOperator.from_config()
    try:
        for order_id in ids:
            try:
                _handle(operator, order_id, journal.bind(key=f"setpoint-{order_id}"))
            except Exception:
                # The lease runs out and a later poll goes on; the other orders need not wait for it.
                journal.error("order left alone", key=f"setpoint-{order_id}", outcome="interrupted", exc_info=True)
    finally:
        operator.close()


def _handle(operator: GridOperator, order_id: int, journal: Journal) -> None:
    claim = orders.claim(order_id)
    if claim is None:
        return
    if isinstance(claim, orders.Buried):
        journal.error("order buried", outcome="dead", attempt=claim.attempts, reason=claim.reason)
        return
    journal = journal.bind(attempt=claim.attempt)
    journal.info("sending", outcome="started", park=claim.park)
    try:
        reference = operator.send_setpoint(
            idempotency_key=claim.key,
            park=claim.park,
            limit_kw=claim.limit_kw,
            valid_from=claim.valid_from,
            valid_to=claim.valid_to,
        )
    except SetpointRefused as refusal:
        buried = orders.bury(claim, f"refused: {refusal}")
        journal.error("refused", outcome="dead" if buried else "superseded", reason=str(refusal))
    except OperatorUnavailable as failure:
        _again(claim, journal, str(failure), failure.retry_after)
    except Exception as failure:
        _again(claim, journal, type(failure).__name__, None)
    else:
        first = orders.acknowledge(claim, reference)
        journal.info("acknowledged", outcome="acknowledged" if first else "known", reference=reference)


def _again(claim: orders.Claim, journal: Journal, reason: str, retry_after: int | None) -> None:
    if claim.attempt >= orders.MAX_ATTEMPTS:
        buried = orders.bury(claim, f"attempts used up: {reason}")
        journal.error("given up", outcome="dead" if buried else "superseded", reason=reason)
        return
    wait = backoff(claim.attempt) if retry_after is None else min(retry_after, LONGEST_WAIT)
    kept = orders.put_off(claim, wait)
    journal.warning("failed", outcome="retry" if kept else "superseded", reason=reason, wait=wait)


def backoff(attempt: int) -> int:
    return min(FIRST_WAIT * FACTOR ** (attempt - 1), LONGEST_WAIT)
