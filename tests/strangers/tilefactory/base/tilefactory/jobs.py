"""What the workers run."""
import gzip
import hashlib
import json
import logging

from rq import get_current_job

from tilefactory import batches, logs, settings, store

logger = logging.getLogger(__name__)

PERMANENT = (store.AccessDenied, store.InvalidObject)


def build_batch(message: dict) -> str | None:
    """Write the file of one batch. The message is {"batch_id": 17}."""
    problem = malformed(message)
    if problem:
        batches.bury_message(message, problem)
        logger.error("[build-batch batch=?] gave up on a malformed message %r: %s", message, problem)
        return None

    batch_id = message["batch_id"]
    log = logs.for_batch(logger, batch_id)
    try:
        attempt = batches.begin(batch_id)
    except batches.NoSuchBatch as exc:
        batches.bury_message(message, f"NoSuchBatch: {exc}")
        log.error("gave up: NoSuchBatch: %s", exc)
        return None
    if not attempt.open:
        log.info("nothing to do, it is %s", attempt.status)
        return None
    if attempt.too_many:
        give_up(log, batch_id, f"the worker died in the last of {settings.MAX_ATTEMPTS} attempts")
        return None

    log.info("attempt %d of %d started, rq job %s", attempt.number, settings.MAX_ATTEMPTS, _rq_id())
    try:
        key, first = write_file(attempt)
    except PERMANENT as exc:
        give_up(log, batch_id, f"{type(exc).__name__}: {exc}", exc)
        return None
    except Exception as exc:
        reason = f"{type(exc).__name__}: {exc}"
        if attempt.last:
            give_up(log, batch_id, f"{reason} (attempt {attempt.number} of {settings.MAX_ATTEMPTS})", exc)
            return None
        log.warning("attempt %d of %d failed, it will be retried: %s",
                    attempt.number, settings.MAX_ATTEMPTS, reason)
        raise  # RQ's Retry
    if first:
        log.info("done in attempt %d: %s", attempt.number, key)
    else:
        log.info("attempt %d ended, another one had been faster: %s", attempt.number, key)
    return key


def write_file(attempt: batches.Attempt) -> tuple[str, bool]:
    """The same batch gives the same bytes, and the same bytes go under the same key."""
    rows = batches.features(attempt.batch_id)
    lines = "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows)
    body = gzip.compress(lines.encode(), mtime=0)
    sha256 = hashlib.sha256(body).hexdigest()
    key = f"{attempt.layer}/{attempt.batch_id:06d}-{sha256[:16]}.ndjson.gz"

    bucket = settings.load().bucket
    objects = store.client()
    there = objects.head_object(Bucket=bucket, Key=key)
    if there is None or there["Metadata"].get("sha256") != sha256:
        objects.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/gzip",
                           Metadata={"sha256": sha256})
    return key, batches.finish(attempt.batch_id, attempt.layer, key, sha256, len(rows))


def malformed(message) -> str | None:
    if not isinstance(message, dict):
        return "not a mapping"
    if set(message) != {"batch_id"}:
        return f"fields {sorted(map(str, message))} instead of batch_id"
    batch_id = message["batch_id"]
    if isinstance(batch_id, bool) or not isinstance(batch_id, int) or batch_id < 1:
        return f"batch_id is {batch_id!r}"
    return None


def give_up(log, batch_id: int, reason: str, exc: BaseException | None = None) -> None:
    if batches.bury(batch_id, reason):
        log.error("gave up: %s", reason, exc_info=exc)


def on_failure(job, connection, exc_type, exc, traceback) -> None:
    """RQ calls this after an error and for a job whose worker has vanished."""
    worker_lost(job, f"{exc_type.__name__}: {exc}")


def horse_killed(job, retpid, ret_val, rusage) -> None:
    """RQ calls this when the process that ran a job was killed."""
    worker_lost(job, f"the work horse was killed (status {ret_val})")


def worker_lost(job, reason: str) -> None:
    message = job.args[0] if job.args else None
    if malformed(message):
        return
    log = logs.for_batch(logger, message["batch_id"])
    if job.retries_left:
        log.warning("rq will retry job %s: %s", job.id, reason)
    else:
        give_up(log, message["batch_id"], reason)


def _rq_id() -> str:
    job = get_current_job()
    return job.id if job else "-"
