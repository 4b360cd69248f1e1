import logging
import random

from celery import Task, shared_task
from django.db import OperationalError

from . import transmissions
from .registry import AlreadyFiled, RegistryBusy, RegistryClient, RegistryUnavailable

log = logging.getLogger(__name__)


class MalformedMessage(Exception):
    pass


def check(result_id):
    if type(result_id) is not int or not 0 < result_id < 2**63:
        raise MalformedMessage(f"result_id is {result_id!r}")
    return result_id


class RecordedTask(Task):
    """A task whose final failure leaves a dead letter, whatever the reason."""

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        try:
            if args or set(kwargs) != {"result_id"}:
                raise MalformedMessage("not the fields of this task")
            result_id = check(kwargs["result_id"])
        except MalformedMessage:
            result_id = None
        message = {"args": list(args), "kwargs": dict(kwargs)}
        transmissions.bury(result_id, self.name, task_id, message, exc)


def backoff(failures):
    """30 s, 60 s, 120 s, 240 s; each up to a fifth shorter."""
    return min(30 * 2 ** (failures - 1), 300) * random.uniform(0.8, 1)


@shared_task(
    bind=True,
    base=RecordedTask,
    name="lab.tasks.transmit_result",
    max_retries=transmissions.MAX_ATTEMPTS - 1,
)
def transmit_result(self, result_id):
    check(result_id)
    try:
        transmission = transmissions.start(result_id)
        if transmission is None:
            return
        log.info("result %s: filing as %s, attempt %d of %d", result_id,
                 transmission.submission_id, transmission.failures + 1,
                 transmissions.MAX_ATTEMPTS)
        try:
            receipt = RegistryClient().submit(
                submission_id=transmission.submission_id,
                document=transmission.result.document(),
            )
        except AlreadyFiled as exc:
            receipt = exc.receipt
        transmissions.finish(transmission, receipt)
    except (RegistryUnavailable, OperationalError) as exc:
        raise try_again(self, result_id, exc)


def try_again(task, result_id, exc):
    def wait(failures):
        if isinstance(exc, RegistryBusy):
            return min(exc.retry_after, 600)
        return backoff(failures)

    failures = task.request.retries + 1
    try:
        failures = max(failures, transmissions.count_failure(result_id, wait))
    except OperationalError:
        log.warning("result %s: the database does not take note of the failure", result_id)
    if failures >= transmissions.MAX_ATTEMPTS:
        log.warning("result %s: attempt %d failed (%r), it was the last", result_id, failures, exc)
        return exc
    countdown = wait(failures)
    log.warning("result %s: attempt %d failed (%r), again in %d s",
                result_id, failures, exc, countdown)
    return task.retry(exc=exc, countdown=countdown, throw=False)
