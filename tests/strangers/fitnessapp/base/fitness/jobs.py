"""@once, dead letters, job logs. Everything that is not about fitness."""
import hashlib
import json
import logging
import time
import uuid
from contextvars import ContextVar
from functools import wraps

from celery import Task
from pydantic import ValidationError
from sqlalchemy import delete, update
from sqlalchemy.exc import SQLAlchemyError

from .models import Claim, DeadLetter, Session, insert_ignore
from .settings import settings

logger = logging.getLogger("fitness.jobs")

MAX_ATTEMPTS = 5

_current = ContextVar("claim")


class Permanent(Exception):
    """No retry will help."""


class BadMessage(Permanent):
    pass


class OutOfAttempts(Permanent):
    """Workers keep dying over it (who counts: the claim)."""


class Busy(Exception):
    """Somebody else is at it, for `seconds` more at most."""

    def __init__(self, seconds=None):
        self.seconds = settings.lease_seconds if seconds is None else seconds
        super().__init__(self.seconds)


class JobLog(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        e = self.extra
        return "job=%s key=%s attempt=%s %s" % (e["job"], e["key"], e["attempt"], msg), kwargs


class Held:
    """A claim that we hold, as long as nobody takes it over."""

    def __init__(self, key, owner, attempt):
        self.key, self.owner, self.attempt = key, owner, attempt

    def _mine(self, s, states, **values):
        return s.execute(
            update(Claim)
            .where(Claim.key == self.key, Claim.owner == self.owner, Claim.state.in_(states))
            .values(**values)
        ).rowcount == 1

    def renew(self, s):
        if not self._mine(s, ["held", "dead"], lease_until=time.time() + settings.lease_seconds):
            raise Busy()

    def finish(self, s):
        """In the caller's transaction. "dead": another delivery gave up while we did not."""
        if not self._mine(s, ["held", "dead"], state="done", lease_until=0):
            raise Busy()
        s.execute(delete(DeadLetter).where(DeadLetter.key == self.key))

    def release(self):
        with Session.begin() as s:
            self._mine(s, ["held"], state="free", lease_until=0)


def acquire(key):
    """Held; None if the work has come to its end; or Busy, or OutOfAttempts."""
    now, owner = time.time(), uuid.uuid4().hex
    with Session.begin() as s:
        s.execute(insert_ignore(Claim).values(key=key, state="free", owner="", lease_until=0, attempts=0))
        taken = s.execute(
            update(Claim)
            .where(
                Claim.key == key,
                Claim.state.in_(["free", "held"]),
                Claim.lease_until <= now,
                Claim.attempts < MAX_ATTEMPTS,
            )
            .values(state="held", owner=owner, lease_until=now + settings.lease_seconds,
                    attempts=Claim.attempts + 1)
            .execution_options(synchronize_session=False)
        ).rowcount
        claim = s.get(Claim, key)
        if taken:
            return Held(key, owner, claim.attempts)
        if claim.state in ("done", "dead"):
            return None
        if claim.lease_until > now:
            raise Busy(int(claim.lease_until - now) + 1)
        raise OutOfAttempts("%d attempts" % claim.attempts)


def current_claim():
    return _current.get()


def bad_key(name, message):
    text = json.dumps(message, sort_keys=True, default=str)
    return "%s:bad:%s" % (name, hashlib.sha256(text.encode()).hexdigest()[:32])


def bury(key, message, error):
    """False if the work was done after all."""
    with Session.begin() as s:
        s.execute(insert_ignore(Claim).values(key=key, state="free", owner="", lease_until=0, attempts=0))
        if not s.execute(
            update(Claim).where(Claim.key == key, Claim.state != "done").values(state="dead")
        ).rowcount:
            return False
        s.execute(insert_ignore(DeadLetter).values(
            key=key, message=json.dumps(message, sort_keys=True, default=str)[:2000], error=error,
            at=time.time(),
        ))
        on_dead = HOOKS.get(key.split(":")[0])
        if on_dead:
            on_dead(s, message)
    return True


HOOKS = {}  # key prefix -> function(session, message) in the transaction of the burial


def once(key, message):
    """Runs the task for one key by one worker at a time, until it has finished the claim.

    key: format string over the message's fields. message: pydantic model of the message.
    """
    def decorate(func):
        @wraps(func)
        def wrapper(task, *args, **kwargs):
            job = task.request.id or "-"
            k, claim = bad_key(task.name, kwargs), None
            log = JobLog(logger, {"job": job, "key": k, "attempt": task.request.retries + 1})
            try:
                try:
                    if args:
                        raise BadMessage("positional arguments")
                    fields = message.model_validate(kwargs).model_dump()
                except ValidationError as exc:
                    raise BadMessage("%d errors" % exc.error_count()) from None
                k = log.extra["key"] = key.format(**fields)
                claim = acquire(k)
                if claim is None:
                    log.info("outcome=already-settled")
                    return
                log.extra["attempt"] = claim.attempt
                log.info("outcome=started")
                token = _current.set(claim)
                try:
                    func(task, **fields)
                finally:
                    _current.reset(token)
                log.info("outcome=done")
            except Busy as exc:
                log.info("outcome=busy seconds=%s", exc.seconds)
                raise task.retry(exc=exc, countdown=exc.seconds)
            except Permanent as exc:
                # Here and not in on_failure: if the db is away this raises and we are retried.
                if bury(k, kwargs, type(exc).__name__):
                    log.error("outcome=dead error=%s", type(exc).__name__)
            except Exception as exc:
                log.warning("outcome=error error=%s", type(exc).__name__)
                if claim:
                    try:
                        claim.release()
                    except SQLAlchemyError as e:
                        log.warning("outcome=lease-kept error=%s", type(e).__name__)
                raise
        wrapper.key = key
        return wrapper
    return decorate


class Job(Task):
    """Celery calls on_failure when it has given up."""

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        try:
            k = self.run_key(kwargs)
        except ValidationError:
            k = bad_key(self.name, kwargs)
        log = JobLog(logger, {"job": task_id, "key": k, "attempt": self.request.retries + 1})
        if isinstance(exc, Busy):
            log.warning("outcome=left-to-the-holder")  # or to the sweep
            return
        try:
            if bury(k, kwargs, type(exc).__name__):
                log.error("outcome=dead error=%s", type(exc).__name__)
        except SQLAlchemyError as e:
            log.error("outcome=left-to-the-sweep error=%s", type(e).__name__)

    def run_key(self, kwargs):
        return self.key_format.format(**self.message.model_validate(kwargs).model_dump())
