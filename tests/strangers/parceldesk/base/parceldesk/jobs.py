"""Jobs that the RQ worker runs. RQ retries whatever a job raises; what it returns from is done."""

from rq import get_current_job

from .carrier import CarrierClient
from .db import reading, transaction
from .errors import InvalidMessage, LabelRejected, UnknownParcel
from .logs import job_log
from .repositories import FailedJobRepository, LabelRepository, ParcelRepository

PERMANENT = (InvalidMessage, UnknownParcel, LabelRejected)


def print_label(shipment_id=None, parcel=None, **extra):
    log = job_log("print-label", shipment=shipment_id, parcel=parcel, rq=_rq_id())
    try:
        _check(shipment_id, parcel, **extra)
        return _print(shipment_id, parcel, log)
    except PERMANENT as exc:
        log.error("given up: %s: %s", type(exc).__name__, exc)
        _bury({"shipment_id": shipment_id, "parcel": parcel, **extra}, exc)


def _print(shipment_id, parcel, log):
    with reading() as con:
        order = ParcelRepository(con).get(shipment_id, parcel)
        label = LabelRepository(con).find(shipment_id, parcel)
    if order is None:
        raise UnknownParcel(f"{shipment_id}/{parcel}")
    if label is not None:
        log.info("has its label already, %s", label["tracking"])
        return label["tracking"]
    with CarrierClient() as carrier:
        answer = carrier.print_label(
            order.receiver,
            order.address,
            order.grams,
            idempotency_key=f"label-{shipment_id}-{parcel}",
        )
    with transaction() as con:
        LabelRepository(con).add(shipment_id, parcel, answer["tracking"], answer["label_url"])
        ParcelRepository(con).set_state(shipment_id, parcel, "printed")
    log.info("printed, tracking %s", answer["tracking"])
    return answer["tracking"]


def label_failed(job, connection, exc_type, exc, traceback):
    """RQ calls this after every failed attempt; only after the last one is the job dead."""
    log = job_log("print-label", rq=job.id, **job.kwargs)
    if job.retries_left:
        log.warning("failed, %s attempts left: %r", job.retries_left, exc)
        return
    log.error("given up after the last attempt: %r", exc)
    _bury(job.kwargs, exc)


def horse_killed(job, pid, status, usage):
    """The process of an attempt was killed (out of memory, kill -9): nothing in it could tell."""
    label_failed(job, None, ChildProcessError, ChildProcessError(f"killed, status {status}"), None)


def _bury(message, exc):
    try:
        order = _check(**message)
    except InvalidMessage:
        order = None
    with transaction() as con:
        if order and LabelRepository(con).find(*order):
            return  # another delivery has printed it meanwhile
        if order:
            ParcelRepository(con).set_state(*order, "failed")
        FailedJobRepository(con).add("print-label", message, f"{type(exc).__name__}: {exc}")


def _check(shipment_id=None, parcel=None, **extra):
    numbers = (shipment_id, parcel)
    if extra or not all(type(number) is int and 0 < number < 2**63 for number in numbers):
        raise InvalidMessage(f"shipment_id={shipment_id!r} parcel={parcel!r} extra={sorted(extra)}")
    return numbers


def _rq_id():
    job = get_current_job()
    return job.id if job else "-"
