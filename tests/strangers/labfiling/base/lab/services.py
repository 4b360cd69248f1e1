"""What the views call."""

import logging
from functools import partial

from django.db import transaction

from . import transmissions
from .models import Result, Transmission
from .tasks import transmit_result

log = logging.getLogger(__name__)


def publish(result_id):
    transmit_result.delay(result_id=result_id)
    log.info("result %s: queued for the registry", result_id)


def file_with_registry(result_id):
    """Have a released result filed. To ask twice does no harm."""
    with transaction.atomic():
        result = Result.objects.get(pk=result_id, status=Result.Status.RELEASED)
        transmission = transmissions.ensure(result)
        if transmission.status == Transmission.Status.QUEUED:
            # robust: the row is committed, and the sweep finds it when the broker is away.
            transaction.on_commit(partial(publish, result_id), robust=True)
    return transmission


def withdraw(result_id):
    with transaction.atomic():
        Result.objects.filter(pk=result_id).update(status=Result.Status.WITHDRAWN)
        Transmission.objects.filter(
            result_id=result_id, status=Transmission.Status.QUEUED
        ).update(status=Transmission.Status.CANCELLED)
    log.info("result %s: withdrawn", result_id)
