"""The job: one renewal, and the poller that finds what is due."""

import logging
import time

from renewals import config, tables
from renewals.errors import InsurerUnavailable, RenewalRefused
from renewals.insurer import InsurerClient
from renewals.repository import Claim, RenewalRepository

log = logging.getLogger("renewals")
insurer = InsurerClient()


def now() -> int:
    return int(time.time())


def _say(level: int, renewal_id: int, attempt: object, result: str, reason: object = "", key: str = "") -> None:
    log.log(
        level,
        "job=renew-policy event_id=%s idempotency_key=%s attempt=%s result=%s reason=%s",
        renewal_id, key, attempt, result, reason,
    )  # fmt: skip


def renew_policy(renewal_id: int) -> str:
    """One attempt at one renewal, if it is due and nobody else is at it."""
    repository = RenewalRepository(tables.engine())
    claim = repository.claim(renewal_id, now())
    if isinstance(claim, str):
        dead = claim.startswith("dead")
        _say(logging.ERROR if dead else logging.INFO, renewal_id, "-", "dead" if dead else "skipped", claim)
        return claim
    _say(logging.INFO, renewal_id, claim.attempt, "started", key=claim.key)
    try:
        return _attempt(repository, claim)
    except Exception as error:
        # Nothing to undo: the lease runs out, and a later poll makes the next attempt.
        _say(logging.ERROR, renewal_id, claim.attempt, "failed, retry once the lease is over", repr(error), claim.key)
        raise


def _attempt(repository: RenewalRepository, claim: Claim) -> str:
    try:
        confirmation = insurer.renew(
            claim.policy_no, claim.period_start, claim.premium_cents, idempotency_key=claim.key
        )
    except RenewalRefused as error:
        return _give_up(repository, claim, error)
    except InsurerUnavailable as error:
        if claim.attempt >= config.MAX_ATTEMPTS:
            return _give_up(repository, claim, error)
        wait = config.wait_after(claim.attempt)
        kept = repository.postpone(claim, repr(error), now() + wait)
        result = f"retry in {wait}s" if kept else "overtaken by another worker"
        _say(logging.WARNING, claim.renewal_id, claim.attempt, result, repr(error), claim.key)
        return "retry"
    first = repository.complete(claim, confirmation, now())
    _say(
        logging.INFO, claim.renewal_id, claim.attempt, "renewed", "" if first else "another worker was first", claim.key
    )
    return "renewed"


def _give_up(repository: RenewalRepository, claim: Claim, error: Exception) -> str:
    outcome = repository.bury(claim, repr(error), now())
    _say(logging.ERROR, claim.renewal_id, claim.attempt, "dead", outcome, claim.key)
    return outcome


def poll_due_policies() -> int:
    """Every minute. One renewal that fails in an unforeseen way must not keep the others waiting."""
    due = RenewalRepository(tables.engine()).due(now())
    for renewal_id in due:
        try:
            renew_policy(renewal_id=renewal_id)
        except Exception:
            log.exception("job=renew-policy event_id=%s result=failed", renewal_id)
    return len(due)
